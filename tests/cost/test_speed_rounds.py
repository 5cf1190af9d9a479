"""Rounds of the table of speed: the certain rows first, each piece written when it is there."""

import pytest
import torch

from deepcache import DeepCacheError
from deepcache.cost import speed_rounds
from deepcache.cost.speed_rounds import GPU_PLAN, measure_rounds, name_of, reached
from deepcache.execution_modes import MODES
from deepcache.models.benchmarked import BENCHMARKED

CPU = torch.device("cpu")
UNCACHED = {"graph_shallow": "replay"}


def measured(names, settings, device):
    """In place of measuring: a row for each way, all with the same numbers."""
    (model,), (batch,) = names, settings.batches
    ways = [("full", UNCACHED.get(mode, mode), 1, "") for mode in settings.modes]
    ways += [("ours", mode, n, "hold") for mode in settings.modes for n in settings.intervals]
    ways += [("pip_deepcache", "eager", n, "hold") for n in settings.intervals] if settings.plugin else []
    shared = {"model": model, "batch": batch, "repeats": settings.repeats, "precision": settings.precision}
    shared |= {"waits_per_step": 0.0 if settings.profiles else None, "peak_bytes": 8 if settings.profiles else None}
    names = ("implementation", "mode", "interval", "reuse")
    yield [{**shared, **dict(zip(names, way, strict=True))} for way in ways], []


@pytest.fixture
def measuring(monkeypatch):
    monkeypatch.setattr(speed_rounds, "measure_models", measured)


def test_what_is_planned_can_be_measured():
    assert {model for model, _ in GPU_PLAN.cases} <= set(BENCHMARKED)
    assert {mode for one in GPU_PLAN.rounds for mode in one.modes} <= set(MODES)
    assert all(GPU_PLAN.settings.steps % n == 0 for n in GPU_PLAN.settings.intervals)


def test_the_certain_rows_come_first_and_each_piece_is_written(measuring):
    written = []
    assert measure_rounds(GPU_PLAN, CPU, written.append) == []
    pieces = GPU_PLAN.pieces()
    assert len(written) == len(pieces) == 21
    for count, rows in enumerate(written, 1):
        assert [reached(piece, rows) for piece in pieces] == [True] * count + [False] * (21 - count)
    first = written[6]
    assert {row["mode"] for row in first} == {"eager", "replay"} and len(first) == 7 * (2 + 2 * 3 + 3)
    assert name_of(pieces[0]) == "sd-v1-5 batch 1: eager, replayed and the plug-in"


def test_each_way_has_one_row_whose_times_are_the_first(measuring):
    written = []
    measure_rounds(GPU_PLAN, CPU, written.append)
    rows = [row for row in written[-1] if (row["model"], row["batch"]) == ("sd-v1-5", 8)]
    assert len(rows) == len({tuple(row[name] for name in speed_rounds.KEY) for row in rows}) == 11 + 3
    assert {row["repeats"] for row in rows} == {GPU_PLAN.settings.repeats}
    assert {row["waits_per_step"] for row in rows if row["mode"] == "eager"} == {0.0}
    assert {row["waits_per_step"] for row in rows if row["mode"] == "graph_shallow"} == {None}


@pytest.mark.parametrize("error", [DeepCacheError("does not fit"), RuntimeError("the compiler\nbroke")])
def test_a_case_that_fails_is_named_and_the_others_are_measured(monkeypatch, error):
    def failing(names, settings, device):
        if names == ["sdxl"] and "graph_shallow" in settings.modes:
            raise error
        yield from measured(names, settings, device)

    monkeypatch.setattr(speed_rounds, "measure_models", failing)
    written = []
    (said,) = measure_rounds(GPU_PLAN, CPU, written.append)
    assert said == f"sdxl batch 1: shallow pass compiled: {' '.join(str(error).split())}"
    missing = [piece for piece in GPU_PLAN.pieces() if not reached(piece, written[-1])]
    assert [name_of(piece) for piece in missing] == ["sdxl batch 1: shallow pass compiled"]
