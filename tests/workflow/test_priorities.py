"""The order in which ready jobs start, with Snakemake's own greedy scheduler below."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.scheduling.greedy import Scheduler, SchedulerSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def select():
    """A function: which of these jobs start on so many free cores."""
    greedy = Scheduler(None, SchedulerSettings(), logging.getLogger())
    scheduler = SimpleNamespace(job_selector_greedy=greedy.select_jobs, _job_selector=None)
    names = {"workflow": SimpleNamespace(scheduler=scheduler)}
    exec((ROOT / "rules/common/priorities.smk").read_text(encoding="utf-8"), names)
    names["start_by_priority"]()
    return lambda jobs, cores: scheduler._job_selector(jobs, jobs, {"_cores": cores, "_job_count": sys.maxsize}, {})


def job(priority: int, cores: int = 1):
    return SimpleNamespace(priority=priority, scheduler_resources={"_cores": cores, "_job_count": 1}, input=[])


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
