"""A search by successive halving, from its first images to the table, and a suite that shares another one's samples."""

import json

import pandas as pd
import pytest

from deepcache.sampling.shards import read_sidecar
from tests.workflow.project import jobs

ROW = {
    "labels": {"interval": 5},
    "search": {"interval": 5, "centers": [24, 48, 72], "powers": [1.2]},
}
SEARCH = {
    "models": {"digits-ldm": {"samples": 8, "shard_size": 4, "batch_size": 4, "screened": 4}},
    "tables": {"table9": {"rows": [ROW]}},
    "sample_grids": {"table1_samples": {"images": 4}, "table5_samples": {"images": 4}},
}
RUNS = "digits-ldm/ddim-100-cfg1.5/nonuniform-n5-c{}-p1.2-b0/seed-0"
CENTERS = (24, 48, 72)


def test_only_the_first_images_are_planned_before_anything_is_known(fresh):
    done = fresh().run("table9", "-n", overlay=SEARCH)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["sample_shard"] == planned["collect_first"] == planned["metrics_of_first"] == 3
    assert planned["screening"] == planned["write_table9"] == 1
    assert "collect_run" not in planned


def test_without_screening_every_candidate_has_all_images(fresh):
    overlay = {**SEARCH, "models": {"digits-ldm": {**SEARCH["models"]["digits-ldm"], "screened": 8}}}
    planned = jobs(fresh().run("table9", "-n", overlay=overlay).stdout)
    assert (planned["sample_shard"], planned["collect_run"], planned["metrics"]) == (6, 3, 3)
    assert "screening" not in planned


@pytest.fixture(scope="module")
def searched(fresh):
    project = fresh()
    done = project.run("table9", "--cores", "1", overlay=SEARCH)
    assert done.returncode == 0, done.stdout
    return project


def shards(project) -> dict[int, list[str]]:
    return {c: sorted(path.name for path in (project.results / RUNS.format(c) / "shards").iterdir()) for c in CENTERS}


@pytest.mark.slow
def test_who_is_screened_out_has_the_first_images_alone(searched):
    screening = json.loads((searched.results / "searches/table9-00/first-4.json").read_text(encoding="utf-8"))
    first, scores = "metrics-4.json", screening["scores"]
    assert scores == {
        RUNS.format(c): json.loads((searched.results / RUNS.format(c) / first).read_text(encoding="utf-8"))["fid"]
        for c in CENTERS
    }
    assert screening["kept"] == sorted(scores, key=scores.__getitem__)[:2]
    for center, found in shards(searched).items():
        kept = RUNS.format(center) in screening["kept"]
        assert len(found) == (2 if kept else 1)
        assert (searched.results / RUNS.format(center) / "metrics.json").exists() == kept
    whole = {
        run: json.loads((searched.results / run / "metrics.json").read_text(encoding="utf-8"))
        for run in screening["kept"]
    }
    assert {one["images"] for one in whole.values()} == {8}
    best = min(whole, key=lambda run: whole[run]["fid"])
    row = pd.read_csv(searched.results / "tables/table09.csv").iloc[0]
    assert f"-c{row['center']}-" in best and row["fid"] == pytest.approx(whole[best]["fid"])
    assert row["images"] == 8 and len(row["runs"].split("; ")) == 2


@pytest.mark.slow
def test_a_search_that_is_done_is_not_done_again(searched):
    assert "Nothing to be done" in searched.run("table9", "-n", overlay=SEARCH).stdout
    lost = searched.results / RUNS.format(CENTERS[0]) / "shards/00000.npz"
    before = lost.read_bytes()
    lost.unlink()
    planned = jobs(searched.run("table9", "-n", overlay=SEARCH).stdout)
    assert planned["sample_shard"] == 1 and planned["screening"] == 1
    lost.write_bytes(before)


def test_paper_quick_is_planned_where_the_papers_suite_lies(fresh):
    project = fresh()
    done = project.run("table9", "-n", "--quiet", "reason", suite="paper-quick")
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["sample_shard"] == planned["collect_first"] == 2 * 6, "the first shard of each, for two N"
    assert planned["screening"] == 2


def test_a_suite_that_only_says_what_differs_has_the_rest_from_the_one_that_it_extends(fresh):
    project = fresh()
    (project.folder / "config/mine.yaml").write_text(
        "extends: config/smoke.yaml\npaired_resamples: 3\n", encoding="utf-8"
    )
    done = project.run("table9", "-n", suite="mine")
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["screening"] == 1, "the default suite has none"


FEW = {
    "models": {"digits-ddpm": {"samples": 8, "shard_size": 4, "batch_size": 4, "sampler": "ddim-10"}},
}
MORE = {"models": {"digits-ddpm": {**FEW["models"]["digits-ddpm"], "samples": 12}}}


@pytest.mark.slow
def test_more_images_of_the_same_suite_sample_what_is_new_and_measure_anew(fresh):
    project = fresh()
    run = project.results / "digits-ddpm/ddim-10/uniform-n5-b2/seed-0"

    def made(overlay: dict) -> tuple[dict[str, int], dict, str]:
        """Jobs that were due, the run's metrics, and the table as text."""
        planned = jobs(project.run("table6", "-n", overlay=overlay).stdout)
        done = project.run("table6", "--cores", "1", overlay=overlay)
        assert done.returncode == 0, done.stdout
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        assert metrics["images"] == read_sidecar(run / "run.json")["images"]
        return planned, metrics, (project.results / "tables/table06.md").read_text(encoding="utf-8")

    _, few, table = made(FEW)
    assert few["images"] == 8 and "8 images in each run" in table
    stamps = {path: path.stat().st_mtime_ns for path in project.results.rglob("shards/*.npz")}
    planned, more, table = made(MORE)
    assert planned["sample_shard"] == len(stamps) / 2, "a third shard of each run, the first two are there"
    assert planned["metrics"] == planned["collect_run"] == planned["sample_shard"]
    assert more["images"] == 12 and more["fid"] != few["fid"] and "12 images in each run" in table
    planned, again, table = made(FEW)
    assert "sample_shard" not in planned and planned["collect_run"] == planned["metrics"]
    assert again["fid"] == pytest.approx(few["fid"]) and "8 images in each run" in table
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert "Nothing to be done" in project.run("table6", "-n", overlay=FEW).stdout
