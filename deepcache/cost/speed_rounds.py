"""What is timed where a GPU is lent for minutes: the paper's sizes, in rounds, the most important first.

The first round is certain: all that runs as it is or replayed, interleaved. Compiling the shallow pass takes seconds to
a minute a model before anything is timed, and profiles take longer than timing, so each has a round of its own, after
the rows that need neither are written.
"""

import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from deepcache.cost.model_speed import SpeedSettings, measure_models
from deepcache.errors import DeepCacheError, reason

KEY = ("model", "batch", "implementation", "mode", "interval", "reuse")
PROFILED = ("peak_bytes", "waits_per_step")


@dataclass(frozen=True)
class Round:
    """One way through all cases.

    Attributes:
        name: what is found.
        modes: see deepcache.execution_modes.
        plugin: whether the authors' plug-in is among the ways.
        profiles: whether waits and memory are found, and nothing is timed.
    """

    name: str
    modes: tuple[str, ...]
    plugin: bool = False
    profiles: bool = False


@dataclass(frozen=True)
class SpeedPlan:
    """What is measured.

    Attributes:
        rounds: one after another.
        cases: (model, batch), in each round.
        settings: the same for all, but for what a round or a case says.
    """

    rounds: tuple[Round, ...]
    cases: tuple[tuple[str, int], ...]
    settings: SpeedSettings

    def pieces(self) -> list[tuple[Round, str, int]]:
        """Rounds of each case, in their order."""
        return [(one, *case) for one in self.rounds for case in self.cases]


def name_of(piece: tuple[Round, str, int]) -> str:
    """In words."""
    one, model, batch = piece
    return f"{model} batch {batch}: {one.name}"


def reached(piece: tuple[Round, str, int], rows: Sequence[Mapping]) -> bool:
    """Whether rows (with COLUMNS) hold a piece."""
    one, model, batch = piece
    return any(
        (row["model"], row["batch"], row["mode"]) == (model, batch, one.modes[-1])
        # NaN, as an empty cell is read, is no number either.
        and (not one.profiles or (row["waits_per_step"] is not None and row["waits_per_step"] >= 0))
        for row in rows
    )


_STEPS = 20  # which every N divides, so that the ratio of MACs is that of 50
_SETTINGS = SpeedSettings(
    batches=(), steps=_STEPS, intervals=(2, 5, 10), modes=(), reuses=("hold",), plugin=True, repeats=5, limit=10,
    profiles=False, operations=False, resolution=None, precision="float16", channels_last=False, seed=0,
)  # fmt: skip
GPU_PLAN = SpeedPlan(
    (
        Round("eager, replayed and the plug-in", ("eager", "replay"), plugin=True),
        Round("shallow pass compiled", ("graph_shallow",)),
        Round("profiles", ("eager", "replay"), plugin=True, profiles=True),
    ),
    (
        ("sd-v1-5", 1),
        ("ldm4g-imagenet", 1),
        ("sdxl", 1),
        ("sd-v1-5", 8),
        ("ldm4g-imagenet", 32),
        ("ddpm-cifar10", 256),
        ("ddpm-lsun", 1),
    ),
    _SETTINGS,
)
# On a CPU: nothing is replayed, and compiling would take longer than all else.
DRY_PLAN = SpeedPlan(
    (
        Round("eager and the plug-in", ("eager",), plugin=True),
        Round("profiles", ("eager",), plugin=True, profiles=True),
    ),
    (("digits-sd", 1), ("digits-ddpm", 2)),
    replace(_SETTINGS, intervals=(5,), steps=10, repeats=1, limit=1, precision="float32"),
)


def measure_rounds(plan: SpeedPlan, device: torch.device, write: Callable[[list[dict]], None]) -> list[str]:
    """Measure piece after piece.

    Args:
        plan: what.
        device: where.
        write: given all rows so far after each piece.

    Returns:
        What could not be measured, a line each; the others were.
    """
    rows: dict[tuple, dict] = {}
    failures = []
    for piece in plan.pieces():
        try:
            _add(rows, _measure(piece, plan.settings, device), piece[0])
        except (DeepCacheError, RuntimeError) as error:  # of torch's compiler, too
            failures.append(f"{name_of(piece)}: {reason(error)}")
            print(f"error: {failures[-1]}", file=sys.stderr, flush=True)
        else:
            write(list(rows.values()))
            print(name_of(piece), file=sys.stderr, flush=True)
        gc.collect()  # graphs and twins of the U-Net hold one another
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return failures


def _measure(piece: tuple[Round, str, int], settings: SpeedSettings, device: torch.device) -> list[dict]:
    one, model, batch = piece
    of_round = replace(settings, batches=(batch,), modes=one.modes, plugin=one.plugin, profiles=one.profiles)
    if one.profiles:
        of_round = replace(of_round, repeats=1)
    ((rows, _),) = measure_models([model], of_round, device)
    return rows


def _add(rows: dict[tuple, dict], found: list[dict], one: Round) -> None:
    """Each way has one row: a later round adds ways, or a profile to those that are there.

    The uncached runs that a later round was compared with lie in its speed-ups alone.
    """
    for row in found:
        key = tuple(row[name] for name in KEY)
        if key not in rows:
            rows[key] = row
        elif one.profiles:
            rows[key] = {**rows[key], **{name: row[name] for name in PROFILED}}
