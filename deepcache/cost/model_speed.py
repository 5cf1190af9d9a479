"""The speed of one architecture in all the ways to run it: random weights, one batch after another."""

import functools
import statistics
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch

from deepcache.cost.latency import Costs, compare_speed, make_variants
from deepcache.cost.macs import branch_macs
from deepcache.cost.operations import step_operations
from deepcache.errors import DeepCacheError
from deepcache.models.benchmarked import BENCHMARKED, random_inputs, random_unet
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.precision import tf32
from deepcache.progress import progress
from deepcache.provenance import device_name, git_commit
from deepcache.sampling.families import PRECISIONS


@dataclass(frozen=True)
class SpeedSettings:
    """What is compared, and how.

    Attributes:
        batches: images at a time.
        steps: calls of the U-Net in a trajectory, at least 2.
        intervals: N.
        modes: see deepcache.execution_modes.
        reuses: what takes the place of the skipped feature: `hold`, `forecast1`, ...
        plugin: whether the authors' plug-in is among the ways.
        repeats: timed trajectories after a warm-up.
        limit: seconds of timed trajectories of a batch, all ways together, after which no repetition begins.
        profiles: whether waits and memory are found, too.
        operations: whether the time of a step is also told by kind of operation.
        resolution: side of the U-Net's input; None: the model's own.
        precision: a name in deepcache.sampling.families.PRECISIONS.
        channels_last: whether channels lie last in memory.
        seed: of weights and noise.
    """

    batches: tuple[int, ...]
    steps: int
    intervals: tuple[int, ...]
    modes: tuple[str, ...]
    reuses: tuple[str, ...]
    plugin: bool
    repeats: int
    limit: float
    profiles: bool
    operations: bool
    resolution: int | None
    precision: str
    channels_last: bool
    seed: int

    def __post_init__(self):
        if self.steps < 2:
            raise DeepCacheError(f"--steps: a trajectory has at least 2, not {self.steps}")

    def check_resolution(self, name: str) -> None:
        """Raise a DeepCacheError unless the levels of a model in BENCHMARKED can halve the resolution."""
        factor = 2 ** (len(BENCHMARKED[name].build().config.block_out_channels) - 1)
        if self.resolution is not None and self.resolution % factor:
            raise DeepCacheError(f"--resolution: {name} needs a multiple of {factor}, not {self.resolution}")


def measure_models(
    names: Collection[str], settings: SpeedSettings, device: torch.device
) -> Iterator[tuple[list[dict], list[dict]]]:
    """Measure one model after another, one batch after another.

    Args:
        names: in BENCHMARKED.
        settings: the same for all.
        device: where they run.

    Yields:
        Of each batch, when it has been measured: a row for each way to run the model, with the columns
        deepcache.results.latency.COLUMNS and `seconds`, a list; and a row for each kind of operation, where they are
        wanted, with OPERATION_COLUMNS. Times in seconds.

    Raises:
        DeepCacheError: if there is no such model, a batch does not fit into memory, or as from `make_variants`.
    """
    for name in names:
        if name not in BENCHMARKED:
            raise DeepCacheError(f"--models: {name} is none of {', '.join(BENCHMARKED)}")
        settings.check_resolution(name)
    made = {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": settings.precision,
        "tf32": " ".join(tf32(device)) or "none",
        "channels_last": settings.channels_last,
        "torch": torch.__version__,
        "commit": git_commit(),
    }
    for name in names:
        for rows, operations in _measure_model(name, settings, device):
            yield [{**made, **row} for row in rows], [{**made, **row} for row in operations]


def _measure_model(name: str, settings: SpeedSettings, device: torch.device) -> Iterator[tuple[list[dict], list[dict]]]:
    """Yield both kinds of rows for each batch."""
    one = BENCHMARKED[name]
    bare = one.build()
    costs = _costs(name, settings.resolution)
    left = {}
    if settings.operations:
        with_attention = _costs(name, settings.resolution, attention=True)
        left = {"macs_left": costs.shallow / costs.full, "with_attention": with_attention.shallow / with_attention.full}
    unet = random_unet(bare, settings.seed, device, PRECISIONS[settings.precision], settings.channels_last)
    for batch in settings.batches:
        inputs = random_inputs(unet, batch, one, settings.resolution, settings.seed, settings.channels_last)
        latent = "x".join(map(str, inputs["sample"].shape[1:]))
        place = {"model": name, "batch": batch, "branch": one.branch, "latent": latent, "guided": one.guided}
        try:
            rows = _compared(f"{name} batch {batch}", unet, one.branch, inputs, costs, settings, device)
            operations = []
            if settings.operations:
                operations = step_operations(unet, one.branch, inputs, settings.repeats, device)
        except torch.OutOfMemoryError as error:
            raise DeepCacheError(
                f"{name} at batch {batch} does not fit into the memory of {device_name(device)}: lower its batches"
            ) from error
        times = {"steps": settings.steps, "repeats": len(rows[0]["seconds"])}
        yield (
            [{**place, **times, **_for_an_image(row, batch)} for row in rows],
            [{**place, **row, **left} for row in operations],
        )


@functools.cache
def _costs(name: str, resolution: int | None, attention: bool = False) -> Costs:
    """Of a batch of one: the ratio does not depend on it."""
    one = BENCHMARKED[name]
    bare = one.build()
    inputs = dummy_inputs(bare, 1, resolution, "meta", tokens=one.tokens)
    return Costs(*branch_macs(bare, one.branch, inputs, attention=attention))


def _compared(
    title: str,
    unet: torch.nn.Module,
    branch: int,
    inputs: dict,
    costs: Costs,
    settings: SpeedSettings,
    device: torch.device,
) -> list[dict]:
    """A row for each way, see `compare_speed`, with a progress bar."""
    variants = make_variants(
        unet,
        branch,
        inputs,
        settings.steps,
        settings.intervals,
        settings.modes,
        settings.reuses,
        plugin=settings.plugin,
    )
    with progress(None, title, unit="run", total=len(variants) * (settings.repeats + 1)) as bar:
        return compare_speed(
            variants,
            costs,
            settings.steps,
            settings.repeats,
            device,
            lambda _: bar.update(),
            profiles=settings.profiles,
            limit=settings.limit,
        )


def _for_an_image(row: dict, batch: int) -> dict:
    seconds = [one / batch for one in row["seconds"]]
    return {
        **row,
        "seconds_per_image": statistics.median(seconds),
        "seconds_low": min(seconds),
        "seconds_high": max(seconds),
    }
