"""Peers of caching: fewer steps and token merging, set so that they take as long as holding at an interval.

What takes time and does not shrink with the steps (text encoder, first stage) is counted as if it did, so a peer with
fewer steps takes a little longer than what it is matched with: the measured times stand beside the numbers.
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from deepcache.beyond.comparison.token_merging import merged
from deepcache.cost.speed_up import speed_up
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.methods.method import Method
from deepcache.runs.run import Run
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel

SOLVERS = {"ddim": "DDIM", "dpmpp": "DPM-Solver++"}  # name of a sampler -> what readers call it
MERGING = "Token merging"


@dataclass(frozen=True)
class Target:
    """What a peer is to be as fast as.

    Attributes:
        interval: N of holding at uniform steps.
        speed: times faster than without caching.
    """

    interval: int
    speed: float


@dataclass(frozen=True)
class Peer:
    """A model that is faster by other means than caching.

    Attributes:
        group: the means.
        setting: how much of them.
        sampler: makes its images.
        calls: of the unchanged U-Net in a trajectory; None where it is changed.
        ratio: of merged tokens; None where none are.
        target: what it is matched with; None until that is known.
    """

    group: str
    setting: str
    sampler: Sampler
    calls: int | None = None
    ratio: float | None = None
    target: Target | None = None

    @property
    def label(self) -> str:
        """Name that no other peer has, such as `DDIM, 20 steps`."""
        return f"{self.group.partition(' with ')[0]}, {self.setting}"

    def applied(self, model: ImageModel, seed: int = 0) -> AbstractContextManager[None]:
        """A context in which the model is the peer, but for the sampler; `seed` is of what the peer draws itself."""
        return nullcontext() if self.ratio is None else merged(model.unet, self.ratio, seed)


def read_targets(path: Path, model: str, sampler: Sampler, variants: Sequence[str]) -> list[Target]:
    """How much faster than without caching holding was.

    Args:
        path: what workflow/scripts/time_models.py wrote.
        model: its name there.
        sampler: the model's own.
        variants: model/sampler/method of holding, one for each interval.

    Returns:
        One for each variant, by interval; see deepcache.cost.speed_up.

    Raises:
        DeepCacheError: if the file is damaged or lacks a variant, or a variant is not of that model and sampler.
    """
    try:
        timed = json.loads(path.read_text(encoding="utf-8"))["variants"]
        seconds = {name: [float(value) for value in one["seconds"]] for name, one in timed.items()}
        if len({len(one) for one in seconds.values()}) != 1 or not min(map(min, seconds.values())) > 0:
            raise ValueError("not one time above 0 for each repetition")
    except (*UNREADABLE, TypeError, AttributeError) as error:
        raise DeepCacheError(f"{path}: not readable times ({error}); delete it and run again") from error
    found = []
    full = f"{model}/{sampler.slug}/{Method().slug}"
    for variant in variants:
        method = Run.parse(f"{variant}/seed-0").method
        if variant != f"{model}/{sampler.slug}/{method.slug}" or not method.caches:
            raise DeepCacheError(f"--variants {variant}: must be {model}/{sampler.slug}/ and a method that caches")
        missing = [name for name in (full, variant) if name not in seconds]
        if missing:
            raise DeepCacheError(f"{path}: {missing[0]} was not timed: name it in --variants of time_models.py")
        found.append(Target(method.interval, speed_up(seconds[full], seconds[variant])))
    return sorted(found, key=lambda target: target.interval)


def fewer_steps(model: ImageModel, own: Sampler, targets: Sequence[Target]) -> list[Peer]:
    """The model with fewer steps of DDIM and DPM-Solver++, T / speed of them, as near as the sampler allows.

    By CompVis's stride DDIM has not every number of steps. Of targets that lead to the same number the first counts;
    a sampler that is the model's own is no peer.

    Args:
        model: which samplers it has, and how many steps they take.
        own: the model's sampler, of T steps; guidance is alike for all.
        targets: by interval.
    """
    peers = {}
    for name, title in SOLVERS.items():
        by_calls = _samplers(model, replace(own, name=name, spacing=own.spacing if name == own.name else "uniform"))
        for target in targets:
            wanted = max(1, round(own.steps / target.speed))
            calls = min(by_calls, key=lambda calls, wanted=wanted: (abs(calls - wanted), calls))
            sampler = by_calls[calls]
            if sampler != own:
                setting = f"{calls} step{'s' if calls > 1 else ''}"
                peers.setdefault(sampler, Peer(f"{title} with fewer steps", setting, sampler, calls, target=target))
    return list(peers.values())


def merging(own: Sampler, ratios: Sequence[float]) -> list[Peer]:
    """Token merging at several ratios, not yet matched: see `nearest_merging`."""
    return [Peer(MERGING, f"ratio {ratio:g}", own, ratio=ratio) for ratio in ratios]


def nearest_merging(candidates: Sequence[Peer], speeds: Mapping[str, float], targets: Sequence[Target]) -> list[Peer]:
    """For each target the ratio whose measured speed is nearest; of targets with the same ratio the first counts.

    Merging alone is rarely as fast as caching: then that is the fastest ratio, and the times stand far apart.

    Args:
        candidates: what `merging` gave.
        speeds: times faster than without, by label.
        targets: by interval.
    """
    peers = {}
    for target in targets if candidates else []:
        nearest = min(candidates, key=lambda one, target=target: abs(math.log(speeds[one.label] / target.speed)))
        peers.setdefault(nearest.label, replace(nearest, target=target))
    return list(peers.values())


def read_full_macs(path: Path) -> float:
    """G MACs of a full pass for one image, as workflow/scripts/model_macs.py wrote them; DeepCacheError if damaged."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["full_g"])
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not readable MACs ({error}); delete it and run again") from error


def average_macs(peer: Peer, full_g: float, own: Sampler) -> float | None:
    """G MACs of one image, averaged over the model's own T steps, as the tables count fewer steps.

    None for token merging: what it saves are mostly the products of attention, which the paper's count leaves out, as
    it would the search for similar tokens.
    """
    return None if peer.calls is None else full_g * peer.calls / own.steps


def _samplers(model: ImageModel, like: Sampler) -> dict[int, Sampler]:
    """Samplers with at most as many steps, by the number of steps that they really take."""
    found = {}
    for steps in range(1, like.steps + 1):
        sampler = replace(like, steps=steps)
        try:
            found[model.num_steps(sampler)] = sampler
        except DeepCacheError:  # by CompVis's stride a few begin beyond the last timestep of the training
            continue
    return found
