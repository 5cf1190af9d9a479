"""The order in which ready jobs start, with Snakemake's own greedy scheduler below."""

import functools
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.scheduling.greedy import Scheduler, SchedulerSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def select(tmp_path):
    """A function: which of these jobs start on so many free cores."""
    greedy = Scheduler(None, SchedulerSettings(), logging.getLogger())
    scheduler = SimpleNamespace(job_selector_greedy=greedy.select_jobs, _job_selector=None)
    names = {"workflow": SimpleNamespace(scheduler=scheduler)}
    names |= {"functools": functools, "os": os, "RUN": f"{tmp_path}/{{model}}/{{sampler}}/{{method}}/seed-{{seed}}"}
    exec((ROOT / "rules/common/priorities.smk").read_text(encoding="utf-8"), names)
    names["start_by_priority"]()
    return lambda jobs, cores: scheduler._job_selector(jobs, jobs, {"_cores": cores, "_job_count": sys.maxsize}, {})


class Wildcards(dict):
    """As Snakemake's: by name, or as attributes."""

    __getattr__ = dict.__getitem__


def job(priority: int, cores: int = 1, rule: str = "metrics", **wildcards):
    resources = {"_cores": cores, "_job_count": 1}
    rule, wildcards = SimpleNamespace(name=rule), Wildcards(wildcards)
    return SimpleNamespace(priority=priority, rule=rule, wildcards=wildcards, scheduler_resources=resources, input=[])


def shard(method: str, index: int, sampler: str = "ddim-10", priority: int = 0):
    names = {"model": "a", "sampler": sampler, "method": method, "seed": "0", "shard": f"{index:05d}"}
    return job(priority, rule="sample_shard", **names)


def test_nothing_of_lower_priority_takes_the_core_that_a_timing_job_waits_for(select):
    timing, other = job(sys.maxsize, cores=2), job(0)
    assert select([other, timing], 1) == []
    assert select([other, timing], 2) == [timing]


def test_cores_that_nothing_waits_for_are_used(select):
    first, others = job(sys.maxsize), [job(0) for _ in range(3)]
    started = select([*others, first], 2)
    assert started[0] is first and len(started) == 2


def test_among_equals_all_cores_are_used(select):
    assert len(select([job(0, cores=2), job(0), job(0)], 3)) == 2
    assert select([], 2) == []


def test_samples_are_read_before_others_are_made(select):
    reading, sampling = job(0), shard("full", 0)
    assert select([sampling, reading], 1) == [reading]
    assert select([sampling, reading], 2) == [reading, sampling]
    asked_for = shard("full", 1, priority=sys.maxsize)
    assert select([reading, asked_for], 1) == [asked_for]


def test_runs_are_sampled_one_after_the_other(select, tmp_path):
    runs = [shard("uniform-n2-b0", 0), shard("chosen-n2-b0", 1), shard("chosen-n2-b0", 0), shard("full", 0)]
    other = shard("full", 0, sampler="ddim-20")
    assert select([other, *runs], 5) == [runs[3], runs[2], runs[1], runs[0], other], "others are compared with full"
    begun = tmp_path / "a/ddim-10/uniform-n2-b0/seed-0/shards"
    begun.mkdir(parents=True)
    assert select([other, *runs], 1) == [runs[3]], "none of its shards is there"
    (begun / "00003.npz").touch()
    assert select([other, *runs], 2) == [runs[0], runs[3]]
