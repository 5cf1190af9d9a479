"""The paper's suite as a graph, the smoke suite on one of its models, and the plan."""

import json
import re

import pandas as pd

from tests.workflow.test_workflow import jobs

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
    assert planned["checkpoint_from_hub"] == 7
    assert planned["checkpoint_from_url"] == 2
    assert planned["dataset"] == 6
    assert planned["reference_statistics"] == 4
    assert planned["sample_shard"] > 1000
    assert {"metrics", "latency", "model_macs", "sample_grid", "macs"} <= set(planned)
    assert {name for name in planned if name.startswith("write_")} >= {f"write_table{n}" for n in (1, 2, 3, 6, 12)}


def test_the_smoke_suite_says_that_weights_are_random(fresh):
    project = fresh()
    done = project.run("table2", "--cores", "1", suite="smoke", overlay=SMALL)
    assert done.returncode == 0, done.stdout
    results = project.folder / "results/smoke"
    table = pd.read_csv(results / "tables/table02.csv")
    assert table["weights"].tolist() == ["random", "random"]
    assert table[["macs_g", "throughput", "speed", "fid", "kid"]].notna().all(axis=None)
    assert "**The weights are random" in (results / "tables/table02.md").read_text()
    dataset = json.loads((results / "datasets/cifar10.json").read_text())
    assert (dataset["source"], dataset["format"]) == ("random", "cifar10")
    again = project.run("table2", "-n", suite="smoke", overlay=SMALL)
    assert "Nothing to be done" in again.stdout


def test_the_plan_is_printed_and_nothing_is_started(fresh):
    project = fresh()
    done = project.run("plan", "--cores", "1")
    assert done.returncode == 0, done.stdout
    row = re.search(r"^\| table12 +\| +12 \| +96 \| +(\S+) \|", done.stdout, re.M)
    assert row and float(row[1]) > 0, done.stdout
    assert not list(project.results.rglob("*.npz"))
