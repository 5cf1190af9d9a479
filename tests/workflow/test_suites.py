"""The paper's suite as a graph, the smoke suite on one of its models, and the estimate."""

import json
import re

import pandas as pd
import pytest

from deepcache.sampling.shards import read_shard
from tests.workflow.project import jobs, rows_up_to

# One of the architectures, small enough for a test: with random weights, on datasets that are made up.
SMALL = {
    "models": {"ddpm-cifar10": {"samples": 4, "shard_size": 2, "batch_size": 2, "sampler": "ddim-10-quad"}},
    "tables": {
        "table2": {
            "rows": [
                {"labels": {"dataset": "CIFAR-10", "method": "DDPM*"}, "runs": {"ours": {}}},
                {"labels": {"dataset": "CIFAR-10", "method": "N=5"}, "runs": {"ours": {"interval": 5}}},
            ]
        }
    },
}


def test_the_papers_suite_is_planned_from_download_to_tables(finished):
    done = finished.run("all", "-n", suite="paper")
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["checkpoint_from_hub"] == 5
    assert planned["checkpoint_from_url"] == 6
    assert planned["dataset"] == 6
    assert planned["reference_statistics"] == 4
    assert planned["sample_shard"] > 1000
    used = {
        "metrics",
        "clip_score",
        "paired_fidelity",
        "time_models",
        "model_macs",
        "sample_grid",
        "curves",
        "macs",
        "draw_fig2",
        "draw_fig4",
    }
    assert used <= set(planned)
    tables = {*(f"table{n}" for n in range(1, 15)), "ablation_schedulers", "ablation_branches", "diversity"}
    assert {name for name in planned if name.startswith("write_")} == {f"write_{name}" for name in tables}


def test_the_emoji_suite_is_planned(finished):
    done = finished.run("all", "-n", suite="emoji")
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["real_pictures"] == 2 and planned["train_checkpoint"] == 1
    assert planned["checkpoint_in_place"] == 4, "of which one comes from a package"
    paper = {"table3", "table10", "table13", "table14"}
    tables = {*paper, "comparisons", "ablation_schedulers", "ablation_branches", "diversity"}
    assert {name for name in planned if name.startswith("write_")} == {f"write_{name}" for name in tables}


@pytest.mark.parametrize("suite", ["modern", "modern-smoke"])
def test_the_modern_suite_is_planned(fresh, suite):
    project = fresh()
    done = project.run("all", "-n", "-p", "--quiet", "host", suite=suite)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert {name for name in planned if name.startswith("write_")} == {"write_sdxl", "write_svd", "write_diversity"}
    assert (planned["metrics"], planned["paired"], planned["calibrate"], planned["time_models"]) == (5, 4, 2, 2)
    assert planned.get("checkpoint_from_hub", 0) == (3 if suite == "modern" else 0)
    assert planned.get("random_checkpoint", 0) == (0 if suite == "modern" else 5)
    videos = re.findall(r"^.*/scripts/sample\.py .*/checkpoints/svd\.json .*$", done.stdout, flags=re.M)
    assert len(videos) == (4 * 10 if suite == "modern" else 4), "shards"
    assert all(re.search(r"--prompts \S*/datasets/coco-val2014\.json", one) for one in videos)
    negative = "normal quality, low quality, worst quality, low res, blurry, nsfw, nude"
    assert f"'--negative-prompt={negative}'" in done.stdout
    assert f"'sdxl={negative}'" in done.stdout, "times are those of the same call"


def test_another_negative_prompt_makes_new_runs(fresh):
    """Every job that samples, times or plans is told it; what is measured of images follows from these."""
    project, commands = fresh(), {}
    for text in ("blurry", "grey"):
        overlay = {"models": {"sdxl": {"negative_prompt": text}}}
        done = project.run("sdxl", "-n", "-p", "--quiet", "host", suite="modern-smoke", overlay=overlay)
        assert done.returncode == 0, done.stdout
        commands[text] = sorted(re.findall(rf"^.*/scripts/.*={text} .*$", done.stdout, flags=re.M))
    told = [re.search(r"scripts/([\w/]+)\.py", one)[1] for one in commands["blurry"]]
    sampled = ["sample"] * 5
    assert sorted(told) == sorted([*sampled, "time_models", "beyond/record_features", *["beyond/calibrate"] * 2])
    assert [one.replace("blurry", "grey") for one in commands["blurry"]] == commands["grey"]


def test_plans_of_emoji_are_made_on_prompts_of_their_own(finished):
    recorded = "results/emoji/plans/emoji-sd/dpmpp-24-cfg3/recorded-b0.npz"
    for prompts, needed in (("emoji-prompts", False), ("emoji-calibration", True)):
        overlay = {"datasets": {prompts: {"folder": "nowhere.txt"}}}
        done = finished.run(recorded, "-n", suite="emoji", overlay=overlay)
        assert (f"datasets.{prompts}.folder: nowhere.txt: no such file" in done.stdout) == needed, done.stdout
        assert (done.returncode == 0) == (not needed)
    told = finished.run("beyond", "budget", "-n", "-p", "--quiet", "host", suite="emoji").stdout
    commands = re.findall(r"^.*/scripts/beyond/(?:sweep|budget)\.py .*$", told, flags=re.M)
    assert len(commands) == 9, "eight sweeps and a contest"
    for command in commands:
        assert re.search(r"--calibration-prompts \S*/emoji-calibration\.json", command), command


@pytest.mark.slow
def test_the_smoke_suite_says_that_weights_are_random(fresh):
    project = fresh()
    done = project.run("table2", "--cores", "1", suite="smoke", overlay=SMALL)
    assert done.returncode == 0, done.stdout
    results = project.folder / "results/smoke"
    table = pd.read_csv(results / "tables/table02.csv")
    assert table["weights"].tolist() == ["random", "random"]
    assert table[["macs_g", "throughput", "speed", "fid", "kid"]].notna().all(axis=None)
    assert "**The weights are random" in (results / "tables/table02.md").read_text(encoding="utf-8")
    dataset = json.loads((results / "datasets/cifar10.json").read_text(encoding="utf-8"))
    assert (dataset["source"], dataset["format"]) == ("random", "cifar10")
    again = project.run("table2", "-n", suite="smoke", overlay=SMALL)
    assert "Nothing to be done" in again.stdout


TEXT = {
    "models": {
        name: {"samples": 4, "shard_size": 4, "batch_size": 4, "sampler": "plms-10-cfg3"}
        for name in ("digits-sd", "digits-bk-sdm", "digits-sd-captions", "digits-bk-sdm-captions")
    },
    "tables": {
        **{
            table: {
                "rows": [
                    {"labels": {"method": "PLMS", "steps": 50, "interval": 1}, "runs": {"uniform": {}}},
                    {
                        "labels": {"method": "PLMS", "steps": 25, "interval": 1},
                        "runs": {"uniform": {"sampler": "plms-5-cfg3", "against": {}}},
                    },
                    {
                        "labels": {"method": "DeepCache", "steps": 50, "interval": 3},
                        "runs": {
                            "uniform": {"interval": 3},
                            "nonuniform": {"interval": 3, "schedule": "nonuniform", "center": 2, "power": 1.3},
                        },
                    },
                ]
            }
            for table in ("table13", "table14")
        },
        "table3": {"rows": rows_up_to(10, "table3")},
        "table10": {
            "rows": [
                {
                    "labels": {"prompts": "COCO2017", "interval": 3},
                    "search": {
                        "model": "digits-sd-captions",
                        "interval": 3,
                        "by": "clip_score",
                        "centers": [2, 3],
                        "powers": [1.3],
                    },
                }
            ]
        },
    },
    "sample_grids": {"fig5": {"images": 2}, "fig7": {"images": 2}},
    "similarity": {"images": 1},
    "curves": {"fig6": {"panels": [{"title": "A", "table": "table13"}]}},
}


@pytest.mark.slow
def test_text_to_image_from_prompts_to_figures(fresh):
    project = fresh()
    done = project.run("table10", "table13", "fig2", "fig6", "fig7", "--cores", "1", overlay=TEXT)
    assert done.returncode == 0, done.stdout
    table = pd.read_csv(project.results / "tables/table13.csv")
    full, fewer, cached = (row for _, row in table.iterrows())
    scores = ["clip_uniform", "clip_nonuniform", "psnr_db_uniform", "psnr_db_nonuniform", "lpips_nonuniform"]
    assert cached[[*scores, "throughput", "speed", "macs_g", "clip_uniform_change_low"]].notna().all()
    assert full["clip_uniform"] > 50, "the shipped models make what the prompts say, in ten steps already"
    assert pd.isna(full["psnr_db_uniform"]) and pd.isna(full["clip_uniform_change"])
    assert fewer["macs_g"] == pytest.approx(full["macs_g"] / 2)
    assert fewer["clip_uniform_change"] == pytest.approx(fewer["clip_uniform"] - full["clip_uniform"], abs=1e-5)
    for file in ("fig2", "fig6", "fig7"):
        assert (project.results / f"figures/{file}.png").read_bytes()[:4] == b"\x89PNG"
    best = pd.read_csv(project.results / "tables/table10.csv").iloc[0]
    scored = {}
    for center in (2, 3):
        run = f"digits-sd-captions/plms-10-cfg3/nonuniform-n3-c{center}-p1.3-b1/seed-0/clip_score.json"
        scored[center] = json.loads((project.results / run).read_text(encoding="utf-8"))["clip_score"]
    assert (best["center"], best["clip_score"]) == max(scored.items(), key=lambda pair: pair[1])


@pytest.mark.parametrize("suite", ["config", "paper", "smoke"])
def test_ablations_are_planned(fresh, suite):
    done = fresh().run("ablations", "-n", suite=suite)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    once = ("write_ablation_schedulers", "write_ablation_branches", "curves", "memory", "time_models")
    assert {name: planned[name] for name in once} == dict.fromkeys(once, 1)
    assert planned["clip_score"] == planned["collect_run"] == planned["paired_fidelity"] + 3, (
        "one without for each sampler"
    )


def ablation_row(sampler: str, name: str, branch: int | None = None) -> dict:
    run = {"sampler": sampler} if sampler else {}
    labels = {"sampler": name, "interval": 1}
    if branch is not None:
        run |= {"interval": 3, "branch": branch}
        labels |= {"interval": 3, "skip_branch": branch + 1}
    return {"labels": labels, "runs": {"ours": run}}


ABLATIONS = {
    **TEXT,
    "tables": {
        **TEXT["tables"],
        "table3": {
            "rows": [{"labels": {"prompts": "PartiPrompts", "method": "PLMS - 50 steps"}, "runs": {"ours": {}}}]
        },
        "ablation_schedulers": {
            "rows": [
                ablation_row("plms-10-cfg3", "PLMS"),
                ablation_row("pndm-10-cfg3", "PNDM"),
                ablation_row("pndm-10-cfg3", "PNDM", 1),
            ]
        },
        "ablation_branches": {
            "rows": [ablation_row("", "PLMS"), ablation_row("", "PLMS", 1), ablation_row("", "PLMS", 5)]
        },
    },
    "sample_grids": {**TEXT["sample_grids"], "fig5": {"images": 1}},
}


@pytest.mark.slow
def test_ablations_from_prompts_to_the_figure(fresh):
    project = fresh()
    done = project.run("ablations", "--cores", "1", overlay=ABLATIONS)
    assert done.returncode == 0, done.stdout
    tables = project.results / "tables"
    plms, pndm, cached = (row for _, row in pd.read_csv(tables / "ablation_schedulers.csv").iterrows())
    assert pndm["macs_g"] == pytest.approx(plms["macs_g"] * 19 / 10), "19 calls in ten steps"
    assert cached[["seconds_per_image", "speed", "clip_score", "psnr_db", "lpips"]].notna().all()
    macs = json.loads((project.results / "macs/digits-sd.json").read_text(encoding="utf-8"))
    assert cached["macs_g"] == pytest.approx((7 * macs["full_g"] + 12 * macs["shallow_g"]["1"]) / 10)
    shard = read_shard(project.results / "digits-sd/pndm-10-cfg3/uniform-n3-b1/seed-0/shards/00000.npz")
    assert shard[1]["settings"]["full_steps"] == [0, 3, 6, 9, 12, 15, 18]
    branches = pd.read_csv(tables / "ablation_branches.csv")
    # Of digits-sd at branches 1 and 5: 32 x 8 x 8 and 48 x 4 x 4 numbers in fp32, twice because of guidance.
    assert branches["bytes_cached"].tolist() == [0, 2 * 32 * 8 * 8 * 4, 2 * 48 * 4 * 4 * 4]
    assert (branches["peak_memory_mb"][1:] > branches["peak_memory_mb"][0]).all()
    memory = json.loads((project.results / "memory/digits-sd.json").read_text(encoding="utf-8"))
    assert memory["sampler"] == "plms-4-cfg3"
    text = (tables / "ablation_branches.md").read_text(encoding="utf-8")
    assert text.startswith("# Ablation: every skip branch") and "_paper" not in text
    assert (project.results / "figures/ablations.png").read_bytes()[:4] == b"\x89PNG"


def test_the_estimate_is_printed_and_nothing_is_started(fresh):
    project = fresh()
    done = project.run("estimate", "--cores", "1")
    assert done.returncode == 0, done.stdout
    row = re.search(r"^\| table12 +\| +12 \| +96 \| +(\S+) \|", done.stdout, re.M)
    assert row and float(row[1]) > 0, done.stdout
    assert not list(project.results.rglob("*.npz"))


def test_the_estimate_of_the_modern_suite(fresh):
    project = fresh()
    done = project.run("estimate", "--cores", "1", suite="modern")
    assert done.returncode == 0, done.stdout
    row = re.search(r"^\| sdxl +\| +5 +\| +25,000 +\| +(\S+) +\| +(\S+) +\| +(\S+) +\|", done.stdout, re.M)
    petamacs, hours, download = map(float, (row[1].replace(",", ""), row[2], row[3]))
    # 2988.66 G a full step, 49.04 a shallow one; of 20 steps 20, 10, 7, 10 and 7 are full; guidance calls twice.
    expected = 5000 * 2 * sum(full * 2988.66 + (20 - full) * 49.04 for full in (20, 10, 7, 10, 7)) / 1e6
    assert petamacs == pytest.approx(expected, rel=0.01)
    assert hours == pytest.approx(2 * expected * 1e15 / 287e12 / 3600, rel=0.01)
    assert 14 < download < 16
    row = next(line for line in done.stdout.splitlines() if line.startswith("| svd "))
    _, runs, videos, petamacs, hours, download, _, kept, _ = [one.strip() for one in row.strip("|").split("|")]
    petamacs, hours, download, kept = map(float, (petamacs, hours, download, kept))
    assert (runs, videos) == ("4", "400")
    # 18048.37 G a full step of a video, 1133.56 a shallow one; of 25 steps 25, 13, 9 and 5 are full.
    expected = 100 * 2 * sum(full * 18048.37 + (25 - full) * 1133.56 for full in (25, 13, 9, 5)) / 1e6
    assert petamacs == pytest.approx(expected, rel=0.01)
    assert hours == pytest.approx(2 * expected * 1e15 / 50e12 / 3600, rel=0.01)
    assert 11 < download < 12
    assert kept == pytest.approx(400 * 14 * 576 * 1024 * 3 / 1e9, rel=0.01)
