"""Command lines that cannot be meant."""

import json
from pathlib import Path

import pytest

from tests.bad_input.conftest import LOCAL_CHECKPOINT, PROMPTS

TABLE = ("table.py", "--results", "r", "--output", "out/t.csv", "--layout")
CURVES = ("curves.py", "--tables", "t.csv", "--output", "out/c.png", "--layout")
SUMMARY = ("summary.py", "--results", "r", "--suite")
GENERATE = ("generate.py", "--checkpoint", "sd", "--prompts", PROMPTS, "--output", "out")
SAMPLE = ("sample.py", "--checkpoint", "model.json", "--output", "out/s.npz")
LATENCY = ("latency.py", "--output", "out/l.csv")
REFERENCE = (
    *("reference_statistics.py", "--dataset", "d.json", "--weights", "w.json", "--image-size", 16),
    *("--extractor", "digits-classifier", "--partial", "out/p.npz", "--output", "out/r.npz"),
)
PICTURE = {
    "title": "A",
    "panels": [{"title": "B", "table": "t"}],
    "x": {"column": "speed", "label": "speed"},
    "y": {"label": "error"},
    "series": [{"label": "ours", "y": "error"}],
}

CASES = {
    "a layout that is cut off": ((*TABLE, "{"), "--layout: not JSON (Expecting property name"),
    "a layout of another kind": ((*TABLE, "[]"), "--layout: [] is not of type 'object'"),
    "a layout without anything": ((*TABLE, "{}"), "--layout: 'name' is a required property"),
    "a layout of too many brackets": ((*TABLE, "[" * 100_000), "--layout: not JSON (maximum recursion depth exceeded"),
    "a picture that is cut off": ((*CURVES, "{"), "--layout: not JSON"),
    "a picture without anything": ((*CURVES, "{}"), "--layout: 'title' is a required property"),
    "a picture without panels": ((*CURVES, json.dumps({**PICTURE, "panels": []})), "--layout.panels: [] "),
    "a picture of one name": ((*CURVES, json.dumps({**PICTURE, "x": "speed"})), "--layout.x: 'speed' is not of type"),
    "a picture of more tables": ((*CURVES, json.dumps({**PICTURE, "panels": PICTURE["panels"] * 2})), "2 panels but 1"),
    "a suite that is a name": ((*SUMMARY, "digits"), "--suite: not JSON"),
    "a suite without tables": ((*SUMMARY, '{"name": "digits"}'), "--suite: 'verdicts' is a required property"),
    "guidance that is no number": ((*GENERATE, "--guidance-scale", "nan"), "argument --guidance-scale: invalid number"),
    "guidance without end": ((*GENERATE, "--guidance-scale", "inf"), "argument --guidance-scale: invalid number"),
    "strength that is no number": (
        (*GENERATE, "--strength", "nan"),
        "argument --strength: invalid number value: 'nan'",
    ),
    "a power that is no number": (
        (*GENERATE, "--schedule", "nonuniform", "--cache-interval", 5, "--center", 3, "--power", "nan"),
        "--power: must be a finite number, not nan",
    ),
    "a power without end": (
        (*GENERATE, "--schedule", "nonuniform", "--cache-interval", 5, "--center", 3, "--power", "inf"),
        "--power: must be a finite number, not inf",
    ),
    "prompts in a folder": ((*GENERATE[:4], "sub.txt", *GENERATE[5:]), "sub.txt: Is a directory"),
    "a rate that is no number": (
        ("estimate.py", "--tflops", "nan"),
        "argument --tflops: invalid positive_number value",
    ),
    "a rate of nothing": (("estimate.py", "--tflops", 0), "argument --tflops: invalid positive_number value: '0'"),
    "a suite that is not there": (("estimate.py", "--suite", "none.yaml"), "none.yaml cannot be read ("),
    "a threshold that is no number": (
        ("fig2.py", "--recorded", "f.npz", "--threshold", "nan", "--output", "out/f.png"),
        "argument --threshold: invalid number value",
    ),
    "a seed below 0": ((*SAMPLE, "--seed", -1), "argument --seed: invalid natural value: '-1'"),
    "a shard below 0": ((*SAMPLE, "--shard", -1), "argument --shard: invalid natural value: '-1'"),
    "a sampler of two points": ((*SAMPLE, "--sampler", "ddim-10-cfg1.2.3"), "sampler must look like ddim-100"),
    "a sampler with another spelling": ((*SAMPLE, "--sampler", "ddim-10-cfg1.50"), "sampler must look like ddim-100"),
    "a sampler of more digits than a number has": (
        (*SAMPLE, "--sampler", "ddim-10-cfg1.5000000000000000001"),
        "sampler ddim-10-cfg1.5000000000000000001: write ddim-10-cfg1.5",
    ),
    "more steps than the training's": ((*SAMPLE, "--sampler", "ddim-1001"), "sampler ddim-1001: at most 1000 steps"),
    "steps without end": ((*SAMPLE, "--sampler", f"ddim-{'9' * 5000}"), "sampler must look like ddim-100"),
    "a method of two points": (
        (*SAMPLE, "--method", "nonuniform-n5-c3-p1.2.3-b0"),
        "method must look like full, uniform-n5-b2",
    ),
    "an output that is a folder": ((*SAMPLE[:-1], "sub"), "argument --output: 'sub' is a folder: name a file"),
    "an output that is this folder": ((*SAMPLE[:-1], "."), "argument --output: '.' is a folder: name a file"),
    "samples under another suffix": ((*SAMPLE[:-1], "out/s.json"), "argument --output: 'out/s.json' must end in .npz"),
    "a picture under another suffix": (
        (*CURVES[:-2], "out/c.txt", CURVES[-1], "{}"),
        "argument --output: 'out/c.txt' must",
    ),
    "a table under its Markdown's suffix": (
        (*TABLE[:-2], "t.md", TABLE[-1], "{}"),
        "argument --output: 't.md' must end in .c",
    ),
    "an output below a file": ((*SAMPLE[:-1], "t.csv/s.npz"), "argument --output: 't.csv/s.npz' would lie in "),
    "a folder below a file": ((*GENERATE[:-1], "t.csv/deep/out"), "argument --output: 't.csv/deep/out' would lie in "),
    "a device of another maker": ((*SAMPLE, "--device", "warp"), "device 'warp' is not known: use auto, cpu or cuda"),
    "a trajectory of one step": ((*LATENCY, "--steps", 1), "--steps: a trajectory has at least 2, not 1"),
    "a side that cannot be halved": (
        (*LATENCY, "--resolution", 12),
        "--resolution: ddpm-cifar10 needs a multiple of 8",
    ),
    "a limit that is no number": ((*LATENCY, "--limit", "nan"), "argument --limit: invalid positive_number value"),
    "a model that is not timed": ((*LATENCY, "--models", "dit"), "--models: dit is none of ddpm-cifar10"),
    "time between states that never passes": (
        (*REFERENCE, "--save-every", "nan"),
        "argument --save-every: invalid number value",
    ),
    "a name without a file": (
        ("time_models.py", "--checkpoints", "model", "--variants", "a/ddim-10/full", "--output", "out/t.json"),
        "--checkpoints model: write NAME=VALUE",
    ),
    "a name twice": (
        ("time_models.py", "--checkpoints", "a=x", "a=y", "--variants", "a/ddim-10/full", "--output", "out/t.json"),
        "--checkpoints a=y: a is given twice",
    ),
    "a variant that is none": (
        ("time_models.py", "--checkpoints", "a=x", "--variants", "a", "--output", "out/t.json"),
        "--variants a: no --checkpoints a=",
    ),
    "pages without a name": (
        (
            "report_pages.py",
            *[
                "--suite",
                "s",
                "--results",
                "r",
                "--tables",
                "t.csv",
                "--macs",
                "m.csv",
                "--diversity",
                "d.csv",
                "--output",
                "out",
            ],
        ),
        "--tables t.csv: write NAME=VALUE",
    ),
    "recordings without a name": (
        ("beyond/forecast_figure.py", "--recorded", "r.npz", "--plans", "l=p", "--output", "out/f.png"),
        "--recorded r.npz: write NAME=VALUE",
    ),
    "a checksum without a file": (
        (*LOCAL_CHECKPOINT, ".", "--sha256", "0" * 64, "--output", "o.json"),
        f"--sha256 {'0' * 64}: write NAME=VALUE",
    ),
    "an architecture that is not known": (
        ("random_checkpoint.py", "--architecture", "dit", "--output", "out/x"),
        "architecture must be one of ddpm-cifar10, ",
    ),
    "an address of another kind": (
        ("download.py", "--url", "file:///etc/passwd", "--output", "x"),
        "file:///etc/passwd:",
    ),
    "a port that is none": (("download.py", "--url", "http://x:99999/y", "--output", "x"), "http://x:99999/y: "),
    "an address in brackets": (("download.py", "--url", "http://[::1/y", "--output", "x"), "Invalid IPv6 URL"),
    "a schema that is not there": (
        ("config_reference.py", "--schema", "none.yaml", "--output", "out/r.md"),
        "none.yaml cannot be read (",
    ),
    "a schema of something else": (
        ("config_reference.py", "--schema", PROMPTS, "--output", "out/r.md"),
        f"{PROMPTS} holds no keys",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name, refusal):
    options, message = CASES[name]
    Path("t.csv").write_text("speed,error\n1,2\n", encoding="utf-8")
    Path("sub").mkdir()
    Path("sub.txt").mkdir()
    assert refusal(*options).startswith(message)
