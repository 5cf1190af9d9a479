"""What the view knows of a run, and the time left that it computes."""

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_live.estimate import seconds_left
from snakemake_logger_plugin_live.words import duration
from tests.workflow.records import cores, failed, finished, plan, progress, record, started


def test_jobs_are_counted_from_start_to_end():
    state = progress(
        plan(sample=3, table=1), started(1, "sample", 5), started(2, "sample", 6), finished(1, 15), failed(2)
    )
    assert (state.done, state.total, state.failed, list(state.running)) == (1, 4, {2}, [])
    assert state.unfinished == {"sample": 2, "table": 1}
    assert state.seconds["sample"] == [10]


def test_a_job_that_is_tried_again_has_not_failed():
    state = progress(plan(sample=1), started(1, "sample"), failed(1), started(1, "sample", 7))
    assert not state.failed and state.running[1].started == 7


def test_the_time_left_is_the_work_left_over_the_cores():
    state = progress(plan(sample=6), cores(2), started(1, "sample"), finished(1, 10), started(2, "sample", 10))
    # Four wait, 10 s each; of the one that runs 4 s are over.
    assert seconds_left(state, 14) == pytest.approx((4 * 10 + 6) / 2)


def test_a_job_that_takes_longer_than_usual_counts_as_done():
    state = progress(plan(sample=2), cores(1), started(1, "sample"), finished(1, 10), started(2, "sample", 10))
    assert seconds_left(state, 99) == 0


def test_a_job_on_two_cores_is_work_for_both():
    state = progress(plan(time=2), cores(2), started(1, "time", threads=2), finished(1, 10))
    assert seconds_left(state, 10) == pytest.approx(10)


def test_times_of_earlier_runs_count_before_anything_has_run():
    state = progress(plan(sample=4), cores(2), record(None, recorded_seconds={"sample": [2.0, 4.0]}))
    assert seconds_left(state, 0) == pytest.approx(4 * 3 / 2)


def test_the_time_left_is_not_guessed_from_a_few_jobs():
    state = progress(plan(checkpoint=2, sample=9), cores(1), started(1, "checkpoint"), finished(1, 1))
    assert seconds_left(state, 1) is None
    state = progress(plan(checkpoint=2, sample=2), cores(1), started(1, "checkpoint"), finished(1, 1))
    assert seconds_left(state, 1) == pytest.approx(1 + 2 * 1), "of unknown rules: the mean of the known"


def test_jobs_that_a_checkpoint_adds_count():
    state = progress(plan(screen=1, table=1), cores(1), started(1, "screen"), finished(1, 10))
    state.update(record(LogEvent.PROGRESS, done=1, total=5))
    assert state.total == 5
    assert seconds_left(state, 10) is None, "most are unknown"
    known = progress(plan(screen=2), cores(1), started(1, "screen"), finished(1, 10))
    known.update(record(LogEvent.PROGRESS, done=1, total=4))
    assert seconds_left(known, 10) == pytest.approx(3 * 10)
    known.update(started(2, "sample", 10))
    assert known.unfinished["sample"] == 1
    assert seconds_left(known, 14) == pytest.approx(2 * 10 + 6)


def test_without_cores_as_many_are_taken_as_are_busy():
    state = progress(
        plan(sample=5), started(1, "sample"), finished(1, 8), started(2, "sample", 8), started(3, "sample", 8)
    )
    assert seconds_left(state, 8) == pytest.approx(4 * 8 / 2)


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (7.4, "7 s"), (61, "1 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_times_in_words(seconds, words):
    assert duration(seconds) == words
