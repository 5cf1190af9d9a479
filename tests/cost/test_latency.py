"""Speed beside MACs: what is compared, what is counted, what is written."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from deepcache import DeepCacheError
from deepcache.caching import execution
from deepcache.cost import model_speed
from deepcache.cost.latency import Costs, Variant, compare_speed, make_variants
from deepcache.cost.macs import branch_macs
from deepcache.cost.model_speed import SpeedSettings, measure_models
from deepcache.cost.operations import BETWEEN, KINDS, OTHER, STEP, kind_of, step_operations
from deepcache.cost.waits import waits_per_step
from deepcache.execution_modes import MODES
from deepcache.figures.latency import draw_speed
from deepcache.models.benchmarked import BENCHMARKED
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.results.latency import COLUMNS, OPERATION_COLUMNS, read_speed, to_markdown
from tests.conftest import make_unet2d, make_unet2d_condition
from tests.suites import read_suite

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
FEATURE = 2 * 8 * 16 * 16 * 4  # bytes of branch 1's of these U-Nets at batch 2


@pytest.fixture(params=[make_unet2d, make_unet2d_condition], ids=["pixels", "latents"])
def variants(request):
    unet = request.param()
    inputs = dummy_inputs(unet, 2, None, CPU, tokens=3)
    return make_variants(unet, 1, inputs, 6, [2, 3], ["eager"], ["hold", "forecast1"], plugin=True)


def test_costs_are_those_of_the_steps():
    assert Costs(full=10, shallow=2).ratio(steps=10, interval=5) == pytest.approx(100 / (2 * 10 + 8 * 2))
    assert Costs(full=10, shallow=2).ratio(steps=10, interval=3) == pytest.approx(100 / (4 * 10 + 6 * 2))
    assert Costs(full=10, shallow=2).ratio(steps=10, interval=1) == 1


def test_every_way_is_compared(variants):
    rows = compare_speed(variants, Costs(10, 2), 6, 2, CPU)
    found = {(row["implementation"], row["interval"], row["reuse"]): row for row in rows}
    assert set(found) == {
        ("full", 1, ""),
        *((which, n, "hold") for which in ("ours", "pip_deepcache") for n in (2, 3)),
        *(("ours", n, "forecast1") for n in (2, 3)),
    }
    full = found["full", 1, ""]
    assert (full["speedup"], full["macs_ratio"], full["bytes_cached"]) == (1, 1, 0)
    for n in (2, 3):
        assert found["ours", n, "hold"]["bytes_cached"] == FEATURE
        assert found["ours", n, "forecast1"]["bytes_cached"] == 2 * FEATURE
        assert found["pip_deepcache", n, "hold"]["bytes_cached"] > 9 * FEATURE
        for row in (found["ours", n, "hold"], found["pip_deepcache", n, "hold"]):
            pairs = [slow / fast for slow, fast in zip(full["seconds"], row["seconds"], strict=True)]
            assert row["speedup_low"] == min(pairs) <= row["speedup"] <= row["speedup_high"] == max(pairs)
            assert row["efficiency"] == pytest.approx(row["speedup"] / row["macs_ratio"])
            assert row["macs_ratio"] == Costs(10, 2).ratio(6, n)
    assert found["ours", 2, "hold"]["waits_per_step"] == found["ours", 3, "forecast1"]["waits_per_step"] == 0
    assert found["pip_deepcache", 2, "hold"]["waits_per_step"] >= 1  # it fetches each timestep
    assert found["pip_deepcache", 2, "hold"]["peak_bytes"] > found["ours", 2, "hold"]["peak_bytes"] > 0


def test_each_variant_runs_its_own_steps(variants):
    """Modules of its own: what one has patched does not run in another, and their outputs agree where they must."""
    full, *others = variants
    calls = {}
    for one in variants:
        with torch.profiler.profile() as profile:
            one.run(6)
        calls[one.name] = sum(event.count for event in profile.key_averages() if event.key == "aten::convolution")
    assert all(calls[one.name] < calls[full.name] for one in others)
    again = {one.name: calls[one.name] for one in variants if one.interval == 3}
    assert len(set(again.values())) <= 2  # the plug-in skips the same layers but for what feeds the branch


def test_a_wait_is_counted():
    def run(steps):
        for step in range(steps):
            torch.tensor(float(step)).item()

    assert waits_per_step(run, 4, CPU) == 1
    assert waits_per_step(lambda steps: torch.zeros(steps).item() if steps == 1 else None, 2, CPU) == 0


def test_times_are_those_of_the_runs():
    pauses = [Variant("full", "eager", 1, "", lambda steps: time.sleep(0.02 * steps))]
    pauses.append(Variant("ours", "eager", 2, "hold", lambda steps: time.sleep(0.005 * steps)))
    full, ours = compare_speed(pauses, Costs(4, 1), 4, 3, CPU)
    assert ours["speedup"] == pytest.approx(4, rel=0.3)
    assert ours["macs_ratio"] == pytest.approx(16 / 10)
    assert full["efficiency"] == 1


def test_no_repetition_begins_beyond_the_limit_and_profiles_can_be_left_out():
    full = Variant("full", "eager", 1, "", lambda steps: time.sleep(0.01))
    (row,) = compare_speed([full], Costs(4, 1), 4, 50, CPU, profiles=False, limit=0.025)
    assert 2 <= len(row["seconds"]) <= 3
    assert (row["peak_bytes"], row["waits_per_step"]) == (None, None)
    (row,) = compare_speed([full], Costs(4, 1), 4, 50, CPU, limit=0)
    assert len(row["seconds"]) == 1 and row["waits_per_step"] == 0


def test_where_the_shallow_pass_alone_is_compiled_the_uncached_steps_are_those_of_the_other_mode(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiled.append(function.__name__) or function)
    monkeypatch.setattr(execution, "Compiled", torch.compile)
    unet = make_unet2d()
    inputs = dummy_inputs(unet, 2, None, CPU)
    found = make_variants(unet, 1, inputs, 4, [2], ["compile_shallow"], ["hold"], plugin=True)
    assert [one.name.split() for one in found] == [
        ["full", "eager", "N=1"],
        ["ours", "compile_shallow", "hold", "N=2"],
        ["pip_deepcache", "eager", "hold", "N=2"],
    ]
    assert compiled == ["shallow"]
    assert {row["implementation"]: row["mode"] for row in compare_speed(found, Costs(10, 2), 4, 1, CPU)} == {
        "full": "eager",
        "ours": "compile_shallow",
        "pip_deepcache": "eager",
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::mkldnn_convolution", "convolution"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::addmm", "matrix product"),
        ("aten::native_group_norm", "normalisation"),
        ("aten::silu", "activation"),
        ("aten::cat", "copying"),
        ("aten::add", OTHER),
    ],
)
def test_kinds_of_operations(name, kind):
    assert kind_of(name) == kind


def test_where_the_time_of_a_step_goes():
    unet = make_unet2d_condition()
    for _ in range(5):  # other programs may run just while a shallow step is timed
        rows = step_operations(unet, 0, dummy_inputs(unet, 2, None, CPU, tokens=3), 3, CPU)
        assert [row["operation"] for row in rows] == [*KINDS, OTHER, BETWEEN, STEP]
        found = {row["operation"]: row for row in rows}
        timed = found[STEP], found["convolution"]
        if all(0 < one["shallow_seconds"] < one["full_seconds"] for one in timed):
            break
    else:
        pytest.fail(f"a shallow step is not faster: {timed}")
    for step in ("full_seconds", "shallow_seconds"):
        parts = sum(row[step] for row in rows if row["operation"] != STEP)
        assert parts >= found[STEP][step] or parts == pytest.approx(found[STEP][step])
    assert "forward" not in vars(unet)  # nothing remains


def test_the_plug_in_has_other_branches_on_other_u_nets():
    unet = make_unet2d(layers_per_block=1)
    with pytest.raises(DeepCacheError, match="two layers a block only"):
        make_variants(unet, 1, dummy_inputs(unet, 1, None, CPU), 4, [2], ["eager"], ["hold"], plugin=True)


def test_a_missing_plug_in_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "DeepCache", None)
    unet = make_unet2d()
    with pytest.raises(DeepCacheError, match=r"pip install DeepCache==0.1.1"):
        make_variants(unet, 1, dummy_inputs(unet, 1, None, CPU), 4, [2], ["eager"], ["hold"], plugin=True)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    # MACs: the paper's Tables 1 to 3; parameters: Stable Diffusion XL's U-Net as its authors give it (2.6 billion).
    [("ddpm-cifar10", 35.7e6, 6.1), ("sd-v1-5", 860e6, 339), ("sdxl", 2567e6, None)],
)
def test_architectures(name, parameters, macs):
    one = BENCHMARKED[name]
    unet = one.build()
    assert sum(parameter.numel() for parameter in unet.parameters()) == pytest.approx(parameters, rel=0.01)
    if macs is not None:
        full, _ = branch_macs(unet, one.branch, dummy_inputs(unet, 1, None, "meta", tokens=one.tokens))
        assert full == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize("name", ["digits-ddpm", "digits-ldm", "digits-sd"])
def test_architectures_of_the_digits_models_are_those_of_their_checkpoints(name):
    config = json.loads((ROOT / f"resources/checkpoints/{name}/unet/config.json").read_text(encoding="utf-8"))
    one = BENCHMARKED[name]
    built = one.build().config
    for key in ("sample_size", "block_out_channels", "down_block_types", "layers_per_block", "attention_head_dim"):
        found = built[key]
        assert (list(found) if isinstance(found, (list, tuple)) else found) == config[key]
    tables = read_suite()["tables"].values()
    assert one.branch in {table.get("branch") for table in tables if table["model"] == name}


# The scripts


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("speed") / "ddpm-cifar10.csv"
    program = [sys.executable, ROOT / "workflow/scripts/latency.py", "--device", "cpu", "--threads", "1"]
    options = ["--resolution", "8", "--batches", "1", "2", "--intervals", "2", "--steps", "2", "--repeats", "1"]
    operations = ["--operations", path.parent / "operations.csv"]
    subprocess.run([*program, *options, "--output", path, *operations], check=True, cwd=ROOT)
    return path


def test_benchmark_writes_the_contracts_columns(measured):
    table = pd.read_csv(measured)
    assert list(table.columns) == COLUMNS
    first = "model device precision batch interval branch implementation mode"
    then = "seconds_per_image speedup macs_ratio efficiency bytes_cached"
    assert " ".join(table.columns[:13]) == f"{first} {then}"
    assert len(table) == 2 * 3
    assert set(table["implementation"]) == {"full", "ours", "pip_deepcache"}
    assert (table["efficiency"] - table["speedup"] / table["macs_ratio"]).abs().max() < 1e-9
    assert (table[table["implementation"] == "full"]["macs_ratio"] == 1).all()
    ours = table[table["implementation"] == "ours"].iloc[0]
    # The paper's Table 2; a smaller input changes little but the share of the timestep's embedding.
    assert ours["macs_ratio"] == pytest.approx(6.1 / 4.15, rel=0.02)


def test_an_architecture_that_is_not_known(tmp_path):
    program = [sys.executable, ROOT / "workflow/scripts/latency.py", "--models", "ddpm-cifar100"]
    done = subprocess.run([*program, "--output", tmp_path / "speed.csv"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --models: ddpm-cifar100 is none of ddpm-cifar10, ")
    assert not list(tmp_path.iterdir())


def test_every_architecture_is_known_to_the_schema():
    schema = yaml.safe_load((ROOT / "config/schema.yaml").read_text(encoding="utf-8"))
    latency = schema["properties"]["latency"]["properties"]
    assert latency["models"]["propertyNames"]["enum"] == list(BENCHMARKED)
    assert latency["modes"]["items"]["enum"] == list(MODES)


def test_table_words_and_picture(measured, tmp_path):
    program = [sys.executable, ROOT / "workflow/scripts/latency_table.py"]
    operations = measured.parent / "operations.csv"
    files = ["--measured", measured, "--operations", operations, "--output", tmp_path / "speed.csv"]
    subprocess.run([*program, *files], check=True, cwd=ROOT)
    table = pd.read_csv(tmp_path / "speed.csv")
    words = (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert "## ddpm-cifar10, batch 2" in words
    full, ours, theirs = (
        table[(table["batch"] == 1) & (table["implementation"] == which)].iloc[0]
        for which in ("full", "ours", "pip_deepcache")
    )
    assert full["speedup"] == 1
    profile = pd.read_csv(operations)
    assert list(profile.columns) == OPERATION_COLUMNS
    step = profile[(profile["batch"] == 1) & (profile["operation"] == STEP)].iloc[0]
    assert f"takes {100 * step['shallow_seconds'] / step['full_seconds']:.1f} % of its time" in words
    # Table 2: (6.1 + shallow) / 2 = 4.15 G at N = 2.
    assert step["macs_left"] == pytest.approx((2 * 4.15 - 6.1) / 6.1, rel=0.05)
    assert step["macs_left"] > step["with_attention"]  # which it has in the skipped depth alone
    gain = theirs["seconds_per_image"] / ours["seconds_per_image"]
    share = 100 * ours["bytes_cached"] / theirs["bytes_cached"]
    assert f"times faster than the authors' plug-in: {gain:.2f} in mode eager; {share:.1f} %" in words


def test_what_was_measured_before_a_failure_stays(monkeypatch, tmp_path, call):
    def failing(names, settings, device):
        yield [dict.fromkeys(COLUMNS, 1)], []
        assert len(pd.read_csv(tmp_path / "speed.csv")) == 1, "written before the next batch begins"
        raise DeepCacheError("does not fit")

    monkeypatch.setattr(model_speed, "measure_models", failing)
    assert call("latency.py", "--device", "cpu", "--output", tmp_path / "speed.csv") == 1
    assert len(pd.read_csv(tmp_path / "speed.csv")) == 1


def test_rows_of_an_earlier_version_are_read():
    """They lack tf32; of those of the GPU no threads and no spread of the speed-up were kept."""
    table = read_speed([ROOT / "docs/speed/nvidia-h200.csv"])
    assert list(table.columns) == COLUMNS and table["tf32"].isna().all() and len(table) == 78
    words = to_markdown(table)
    assert "NVIDIA H200, torch 2.11" in words and "nan" not in words
    places = {panel.get_title() for panel in draw_speed("title", table).axes}
    assert {"sd-v1-5, 4x64x64, batch 8", "sd-v1-5, 4x64x64, batch 8\nchannels last"} <= places


def test_a_file_that_is_no_table_of_speeds(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"other.csv: not a table of speeds"):
        read_speed([tmp_path / "other.csv"])


def test_nothing_to_draw(measured):
    table = read_speed([measured])
    with pytest.raises(DeepCacheError, match="nothing to draw"):
        draw_speed("title", table[table["implementation"] == "full"])
    assert "efficiency" not in to_markdown(table[table["implementation"] == "full"]).split("##")[2].split("|")[-1]


def test_memory_that_does_not_suffice_is_said(monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model_speed, "compare_speed", full)
    settings = SpeedSettings(
        batches=(1,), intervals=(2,), modes=("eager",), reuses=("hold",), steps=2, repeats=1, limit=math.inf,
        profiles=True, plugin=False,
        operations=False, resolution=8, precision="float32", channels_last=False, seed=0,
    )  # fmt: skip
    with pytest.raises(DeepCacheError, match="ddpm-cifar10 at batch 1 does not fit into the memory"):
        list(measure_models(["ddpm-cifar10"], settings, torch.device("cpu")))
