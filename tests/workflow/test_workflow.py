"""The workflow from end to end on a handful of images."""

import functools
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time

import pandas as pd
import psutil
import pytest

from deepcache.files import sha256
from deepcache.sampling.shards import read_shard
from tests.workflow.kills import processes
from tests.workflow.project import jobs, untimed


def test_tables_are_complete(finished):
    table = pd.read_csv(finished.results / "tables/table02.csv").set_index("method")
    ours = table.loc[["DDPM*", "N=2", "N=3", "N=5", "N=10"]]
    assert ours[["macs_g", "throughput", "speed", "fid", "kid", "fid_paper", "fid_delta"]].notna().all(axis=None)
    assert ours["macs_g"].is_monotonic_decreasing
    chosen = table.loc[["Chosen - N=3", "Chosen - N=5", "Chosen - N=10"]]
    assert chosen[["throughput", "speed", "fid", "kid", "fid_change_low"]].notna().all(axis=None)
    assert chosen["macs_g"].tolist() == table.loc[["N=3", "N=5", "N=10"], "macs_g"].tolist()
    assert chosen[["fid_paper", "fid_delta"]].isna().all(axis=None)
    assert table.loc["Diff-Pruning", "fid_paper"] == 5.29
    assert pd.isna(table.loc["Diff-Pruning", "fid"])
    delta = pd.read_csv(finished.results / "tables/table06.csv")
    assert (delta["delta"] - (delta["fid_deepcache"] - delta["fid_ddim"])).abs().max() < 1e-9
    assert (finished.results / "tables/table02.md").read_text(encoding="utf-8").startswith("# Table 2")
    assert (finished.results / "figures/table2_samples.png").read_bytes()[:4] == b"\x89PNG"


def test_every_number_says_where_it_came_from(finished):
    table = pd.read_csv(finished.results / "tables/table02.csv")
    for runs in table["runs"].dropna():
        sidecar = json.loads((finished.folder / runs).read_text(encoding="utf-8"))
        assert {"settings", "settings_hash", "versions", "devices", "commits", "shards"} <= set(sidecar)
        assert sidecar["settings"]["sampler"] == "ddim-10"


def test_a_chosen_schedule_is_that_of_its_plan(finished):
    plan = finished.results / "plans/digits-ddpm/ddim-10/chosen-n5-b2.json"
    content = json.loads(plan.read_text(encoding="utf-8"))
    assert content["calibration"]["sampled"] == {"images": 2, "seed": 7002}
    sidecar = json.loads(
        (finished.results / "digits-ddpm/ddim-10/chosen-n5-b2/seed-0/run.json").read_text(encoding="utf-8")
    )
    assert sidecar["settings"]["full_steps"] == content["full_steps"]
    assert sidecar["settings"]["plan"] == sha256(plan)


def test_all_methods_start_from_the_same_noise(finished):
    """At interval 1 of the settings nothing differs, so the hash tells methods apart and nothing else."""
    run = finished.results / "digits-ddpm/ddim-10"
    full, cached = (read_shard(run / method / "seed-0/shards/00001.npz") for method in ("full", "uniform-n2-b2"))
    assert full[0].shape == cached[0].shape == (4, 16, 16, 1)
    differing = {key for key, value in full[1]["settings"].items() if cached[1]["settings"][key] != value}
    assert differing == {"method", "full_steps"}


def test_a_second_run_does_nothing(finished):
    start = time.monotonic()
    again = finished.run("table2", "table6", "--cores", "1")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout
    assert time.monotonic() - start < 20


def test_a_table_for_reading_is_made_again_once_it_is_lost(finished):
    table = finished.results / "tables/table02.md"
    content = table.read_bytes()
    table.unlink()
    try:
        assert set(jobs(finished.run("table2", "-n").stdout)) == {"write_table2", "table2"}
    finally:
        table.write_bytes(content)


def test_a_lost_shard_alone_is_made_again(finished):
    before = untimed(finished, "table02")
    run = finished.results / "digits-ddpm/ddim-10/uniform-n3-b2/seed-0"
    lost = run / "shards/00001.npz"
    images = read_shard(lost)[0]
    stamps = {path: path.stat().st_mtime_ns for path in finished.results.rglob("shards/*.npz") if path != lost}
    lost.unlink()
    planned = jobs(finished.run("table2", "table6", "-n").stdout)
    made = ("sample_shard", "collect_run", "metrics", "paired", "write_table2", "table2", "first_images", "sample_grid")
    assert planned == dict.fromkeys(made, 1)
    assert finished.run("table2", "table6", "--cores", "1").returncode == 0
    assert (read_shard(lost)[0] == images).all()
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    pd.testing.assert_frame_equal(untimed(finished, "table02"), before)


@pytest.mark.parametrize("victim", ["snakemake", "job", "everything"])
def test_killed_and_run_again_gives_the_same_tables(finished, fresh, victim):
    project = fresh()
    running = subprocess.Popen(
        project.command("table6", "--cores", "2"),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(list(project.results.rglob("shards/0*.npz"))) >= 3, running)
        if victim == "job":
            wait_for(lambda: kill_a_sampling_job(project), running)
            assert running.wait(timeout=300) != 0, "a killed job is not taken for a finished one"
        elif victim == "snakemake":
            running.kill()
            running.wait()
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    wait_until_gone(project)
    kept = {path: path.stat().st_mtime_ns for path in project.results.rglob("shards/0*.npz")}
    again = project.run("table6", "--cores", "2")
    assert again.returncode == 0, again.stdout
    redone = [path for path, stamp in kept.items() if path.stat().st_mtime_ns != stamp]
    assert len(redone) <= 2, "at most what was being written is redone"
    assert list(project.results.rglob(".*partial*")) == []
    pd.testing.assert_frame_equal(untimed(project, "table06"), untimed(finished, "table06"))


def wait_for(condition, process, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the workflow ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_gone(project, seconds: float = 20) -> None:
    """Wait until no process works in the project's folder: what a workflow started ends with it."""
    deadline = time.monotonic() + seconds
    while left := [
        one.info for one in psutil.process_iter(["cwd", "cmdline"]) if one.info["cwd"] == str(project.folder)
    ]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def kill_a_sampling_job(project) -> bool:
    """SIGKILL a process that Snakemake started for sampling; False where there is none at the moment."""
    for process in processes(project):
        if any(word.endswith("/scripts/sample.py") for word in process.info["cmdline"] or []):
            process.kill()
            return True
    return False


def test_growing_the_number_of_samples_reuses_the_shards(finished):
    more = {"models": {"digits-ddpm": {"samples": 12}}}
    planned = jobs(finished.run("table6", "-n", overlay=more).stdout)
    assert planned["sample_shard"] == planned["metrics"] == 6, "one more shard for each of six runs"


def test_training_is_a_rule(fresh):
    project = fresh()
    trained = {"checkpoints": {"digits-classifier": {"source": "train", "steps": 2}}}
    target = "results/tiny/references/digits-16.npz"
    done = project.run(target, "--cores", "1", overlay=trained)
    assert done.returncode == 0, done.stdout
    record = json.loads((project.results / "checkpoints/digits-classifier/training.json").read_text(encoding="utf-8"))
    manifest = json.loads((project.results / "checkpoints/digits-classifier.json").read_text(encoding="utf-8"))
    assert record["settings"]["steps"] == 2
    assert manifest["sha256"] == record["sha256"]
    assert manifest["source"] == "train"


def test_a_downloaded_checkpoint(fresh, monkeypatch):
    """A real download, from a server on this machine, in place of the shipped file."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    project = fresh()
    shipped = project.folder / "resources/checkpoints/digits-classifier"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=shipped)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/model.safetensors"
        entry = {"source": "url", "url": url, "folder": "results/downloads/digits-classifier", "licence": "Apache-2.0"}
        overlay = {"checkpoints": {"digits-classifier": entry}}
        done = project.run("results/tiny/references/digits-16.npz", "--cores", "1", overlay=overlay)
        server.shutdown()
    assert done.returncode == 0, done.stdout
    manifest = json.loads((project.results / "checkpoints/digits-classifier.json").read_text(encoding="utf-8"))
    assert manifest["origin"]["url"] == url
    assert manifest["licence"] == "Apache-2.0"


def test_hub_checkpoints_are_planned(finished):
    entry = {"source": "hub", "repository": "google/ddpm-cifar10-32", "revision": "0" * 40, "include": ["*.json"]}
    planned = jobs(finished.run("table6", "-n", overlay={"checkpoints": {"digits-ddpm": entry}}).stdout)
    assert planned["checkpoint_from_hub"] == 1


def test_a_spoilt_checkpoint_stops_the_workflow(fresh):
    project = fresh()
    weights = project.folder / "resources/checkpoints/digits-classifier/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    done = project.run("results/tiny/references/digits-16.npz", "--cores", "1")
    assert done.returncode != 0
    message = r"^error: checkpoints.digits-classifier: .*model.safetensors has SHA-256 .*, expected"
    assert re.search(message, done.stdout, re.M)
    named = r"^error: (\w+): results/tiny/checkpoints/digits-classifier.json not made; see (\S+)$"
    assert re.findall(named, done.stdout, re.M) == [
        ("checkpoint_in_place", "results/tiny/logs/checkpoint_in_place/digits-classifier.log")
    ]
    assert "checkpoint_in_place failed: results/tiny/checkpoints/digits-classifier.json\n" in done.stdout
    assert "1 failed in" in done.stdout.splitlines()[-1]
    assert "--sha256" not in done.stdout, "the command is not for the screen"


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"tables": {"table2": {"branch": 12}}}, "config: tables.table2.branch: 12 is not among the model's branches"),
        ({"timing": {"repeat": 3}}, "config: timing.repeat: unknown key; did you mean repeats?"),
    ],
)
def test_a_mistake_in_the_config_is_one_line_before_any_job(fresh, overlay, message):
    project = fresh()
    done = project.run("table2", "--cores", "1", overlay=overlay)
    assert done.returncode != 0
    assert [line for line in done.stdout.splitlines() if message in line]
    assert "Traceback" not in done.stdout
    assert not (project.folder / "results").exists()
