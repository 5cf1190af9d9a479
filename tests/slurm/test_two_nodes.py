"""A run on two nodes at once, of which one is drained meanwhile."""

from dataclasses import dataclass

import pytest

from deepcache.sampling.shards import read_shard
from tests.slurm.cluster import NODES, Cluster
from tests.slurm.conftest import OVERLAY, PROFILE, RUN, Run, is_of, name, start, wait_for

pytestmark = pytest.mark.slurm

METHOD = "uniform-n3-b2"
SHARDS = ("00000", "00001")
TWO_SHARDS = {**OVERLAY, "models": {"digits-ddpm": {"samples": 8, "shard_size": 4}}}


@dataclass
class Drained:
    """A run during which a node was drained: which one, and its state when the run had ended."""

    run: Run
    node: str
    state: str


@pytest.fixture(scope="module")
def drained(cluster, project, finished) -> Drained:
    """Two shards are sampled, then measured; a node is drained while both are sampled."""
    before = {job["JobId"] for job in cluster.jobs()}
    process = start(project, f"{RUN}/{METHOD}/seed-0/metrics.json", *PROFILE, overlay=TWO_SHARDS)
    node = wait_for(lambda: node_of_shard_while_both_run(cluster), process)
    cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=a test")
    try:
        output = process.communicate(timeout=400)[0]
        state = cluster.run("sinfo", "--Node", f"--nodes={node}", "--noheader", "--format=%T").strip()
    finally:
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    jobs = [job for job in cluster.jobs() if job["JobId"] not in before]
    return Drained(Run(process.returncode, output, jobs), node, state)


def node_of_shard_while_both_run(cluster: Cluster) -> str | None:
    """Where a shard is sampled; None unless both are at the moment."""
    jobs = [job for job in cluster.jobs() if is_of(job, "sample_shard", METHOD) and job["JobState"] == "RUNNING"]
    return jobs[0]["NodeList"] if len(jobs) == len(SHARDS) else None


def test_shards_of_two_nodes_are_those_of_one_machine(project, drained, local):
    sampling = drained.run.of("sample_shard", METHOD)
    assert [job["JobState"] for job in sampling] == ["COMPLETED"] * 2
    assert {job["NodeList"] for job in sampling} == set(NODES)
    here = local.run(f"{RUN}/{METHOD}/seed-0/run.json", "--cores", "2", overlay=TWO_SHARDS)
    assert here.returncode == 0, here.stdout
    for shard in SHARDS:
        path = f"{RUN}/{METHOD}/seed-0/shards/{shard}.npz"
        (there, about), (images, expected) = (read_shard(one.folder / path) for one in (project, local))
        assert there.tobytes() == images.tobytes() and about["settings"] == expected["settings"]


def test_a_run_goes_on_beside_a_drained_node(project, drained):
    assert drained.run.status == 0, drained.run.output
    assert drained.state == "drained", "what ran there came to its end"
    later = [job for job in drained.run.jobs if name(job) != "sample_shard"]
    assert sorted(map(name, later)) == ["collect_run", "metrics"]
    assert {(job["JobState"], job["NodeList"]) for job in later} == {("COMPLETED", *({*NODES} - {drained.node}))}
    assert (project.folder / f"{RUN}/{METHOD}/seed-0/metrics.json").exists()
