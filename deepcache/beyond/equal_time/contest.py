"""The contest: of each method the best setting at each speed, timed beside the others, on fresh noises."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from deepcache.beyond.comparison.compared import Comparison
from deepcache.beyond.comparison.token_merging import merging_version
from deepcache.beyond.equal_time.few_steps import few_steps
from deepcache.beyond.equal_time.known import Known, latents_of, macs_of_steps
from deepcache.beyond.equal_time.methods import METHODS, TUNED, merge_tokens
from deepcache.beyond.equal_time.setting import Setting
from deepcache.beyond.equal_time.timing import GATED, USUAL, speeds, time_steps, times, uncached
from deepcache.beyond.tuning.candidate import Candidate, fastest
from deepcache.beyond.tuning.costs import Costs
from deepcache.beyond.tuning.judged import Judge, Judgement, in_batches
from deepcache.beyond.tuning.kept import Kept
from deepcache.beyond.tuning.tune import NEAR, OFF, converged_sampler, places, within
from deepcache.beyond.tuning.tuner import Effort, Tuner
from deepcache.caching.branches import OUTPUT
from deepcache.cost.speed_up import speed_up
from deepcache.files import short_hash
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.unrounded import Unrounded, sample_unrounded

RATIOS = (0.1, 0.25, 0.5, 0.75)  # of merged tokens
ROUNDS = 2  # of picking: once the times are known, what missed them is picked again


@dataclass(frozen=True)
class Asked:
    """What is compared.

    Attributes:
        usual: the model's sampler with its usual steps, uncached; it is what a speed-up counts from.
        targets: speed-ups.
        few: numbers of steps, see deepcache.beyond.equal_time.few_steps.
        effort: how much is looked at to pick, on noises of its own.
        seeds: of the noises on which what was picked is compared.
        images: of each.
        batch_size: images of a batch that is timed.
        repeats: of each time.
    """

    usual: Sampler
    targets: Sequence[float]
    few: Sequence[int]
    effort: Effort
    seeds: Sequence[int]
    images: int
    batch_size: int
    repeats: int


@dataclass(frozen=True)
class Timed:
    """A setting, how many times as fast as the usual trajectory it is, and the seconds of a batch."""

    setting: Setting
    speed: float
    seconds: float


class Contest:
    """Compares the methods on one model.

    Args:
        model: makes the images that are compared.
        picking: the same with the prompts on which settings are picked.
        asked: what is compared.
        comparison: what is measured of the images beside their error.
        device: where the model runs.
        kept: of an earlier attempt.
        on_stage: called with what is done next, in words.
        on_done: called after each way that was judged or measured.
    """

    def __init__(
        self,
        model: ImageModel,
        picking: ImageModel,
        asked: Asked,
        comparison: Comparison,
        device: torch.device,
        kept: Kept,
        on_stage: Callable[[str], None] = lambda stage: None,
        on_done: Callable[[], None] = lambda: None,
    ):
        self._model, self._picking, self._asked, self._comparison = model, picking, asked, comparison
        self._device, self._kept = device, kept
        self._on_stage, self._on_done = on_stage, on_done
        self._converged = converged_sampler(asked.usual)
        effort = asked.effort
        self._judge = Judge(picking, self._converged, effort.seed, effort.at_once, kept.get("converged"))

    def run(self) -> dict:
        """Pick, time and measure.

        Returns:
            `seconds_per_image` without caching, `converged`, the slug of the sampler of the images that are aimed at,
            and `rows`: for each target and method its `target_speed`, `method` and `setting`; and where the method
            reaches that speed, `speed`, `seconds_per_image`, `macs_g` and what Comparison.measure tells of its images
            and the converged ones; elsewhere `highest`, the speed that it reaches, None where the model has nothing
            that it could act on. `few_steps`: see `few_steps`.

        Raises:
            DeepCacheError: if the U-Net cannot be cut, or time cannot be told.
        """
        known, rows = self._known(), []
        for target in self._asked.targets:
            timed = self._timed_at(known, target)
            for method in (*METHODS, TUNED):
                row = {"target_speed": target, "method": method}
                if method in timed:
                    one = timed[method]
                    row |= {"setting": one.setting.words, "speed": one.speed, "macs_g": _macs(known, one.setting)}
                    row |= {"seconds_per_image": one.seconds / self._asked.batch_size}
                    rows.append({**row, **self._measured(one.setting)})
                else:
                    rows.append({**row, **_unreached(known, method)})
        usual = known.usual_cost / self._asked.batch_size
        few = list(few_steps(known, self._asked.few, self._best, self._seconds, self._measured))
        return {"seconds_per_image": usual, "converged": self._converged.slug, "rows": rows, "few_steps": few}

    def _known(self) -> Known:
        asked, model, kept = self._asked, self._model, self._kept
        self._on_stage("what a step costs")
        where, how = places(model.unet), (asked.batch_size, self._device, asked.repeats)
        costs = Costs.parse(kept.value("costs", lambda: asdict(time_steps(model, asked.usual, where, *how))))
        ratios = RATIOS if merging_version() and _has_transformers(model) else ()
        merging = {ratio: merge_tokens(asked.usual, ratio) for ratio in ratios}
        found = kept.value("merging", lambda: list(speeds(model, merging, *how).items()))
        full, shares = macs_of_steps(model, asked.usual, [place for place in where if place != OUTPUT])
        inputs = latents_of(self._picking, asked.usual, range(asked.effort.at_once), asked.effort.seed)
        return Known(model, asked.usual, costs, full, shares, dict(map(tuple, found)), inputs)

    def _timed_at(self, known: Known, target: float) -> dict[str, Timed]:
        """Of each method that reaches a speed the best setting, timed beside the others.

        Costs of steps do not tell times exactly: what missed its time is picked once more for a corrected one. What
        then takes too long gives way to what was picked first, unless that did, too.
        """
        wanted = known.usual_cost / target
        limits = {method: wanted for method in (*METHODS, TUNED) if (_least(known, method) or math.inf) <= wanted}
        tuned, found = _TunedPick(lambda: self._tuner(known), known), {}
        for _ in range(ROUNDS):
            picked = {}
            for method, limit in limits.items():
                self._on_stage(f"{target:g} times as fast: {method}")
                one = tuned.pick(limit) if method == TUNED else self._best(METHODS[method].settings(known, limit))
                if one is not None:  # where a corrected limit has become too small
                    picked[method] = one
            self._on_stage(f"{target:g} times as fast: times beside each other")
            timed = self._seconds(known.usual, picked)
            limits = {}
            for method, setting in picked.items():
                one = Timed(setting, speed_up(timed[USUAL], timed[method]), float(np.median(timed[method])))
                found.setdefault(method, []).append(one)
                if not within(target / one.speed):
                    limits[method] = wanted * min(max(one.speed / target, 1 / OFF), OFF)
            if not limits:
                break
        return {method: _nearest(tried, target) for method, tried in found.items()}

    def _best(self, settings: Iterable[Setting]) -> Setting | None:
        """The one that errs least; None where there is none."""
        judged = [(self._judged(one), place, one) for place, one in enumerate(settings)]
        return max(judged)[2] if judged else None

    def _judged(self, setting: Setting) -> float:
        images = self._asked.effort.images
        found = self._kept.value(f"judged {setting.digest} {images}", lambda: asdict(self._judge(setting, images)))
        if self._judge.converged is not self._kept.get("converged"):
            self._kept.set("converged", self._judge.converged)
        self._on_done()
        return Judgement(**found).mean

    def _tuner(self, known: Known) -> Tuner:
        found = self._picking, self._converged, _tuned_costs(known), self._asked.effort, self._kept
        return Tuner(*found, on_tried=lambda _: self._on_done())

    def _seconds(self, usual: Sampler, picked: Mapping[str, Setting]) -> dict[str, list[float]]:
        """Of a batch, with a sampler uncached and with what was picked, interleaved."""
        settings = {USUAL: uncached(usual, self._model.num_steps(usual)), **picked}

        def seconds() -> dict[str, list[float]]:
            found = times(self._model, settings, self._asked.batch_size, self._device, self._asked.repeats)
            return {name: list(timing.seconds) for name, timing in found.items()}

        of = short_hash([[name, one.digest] for name, one in settings.items()])
        return self._kept.value(f"seconds {of}", seconds)

    def _measured(self, setting: Setting) -> dict:
        """Of images of fresh noises."""
        self._on_stage(f"fresh noises: {setting.words}")
        found = self._kept.value(
            f"measured {setting.digest}",
            lambda: self._comparison.measure(self._sampled(setting), [self._aim(seed) for seed in self._asked.seeds]),
        )
        self._on_done()
        return found

    def _sampled(self, setting: Setting) -> list[Unrounded]:
        return [self._batched(setting, seed) for seed in self._asked.seeds]

    def _batched(self, setting: Setting, seed: int) -> Unrounded:
        """In batches of the size on which settings are judged: some decide once for a batch."""
        model, size, images = self._model, self._asked.effort.at_once, range(self._asked.images)
        found = in_batches(model, setting, images, size, lambda of: sample_unrounded(model, of, seed, setting.sampler))
        return Unrounded(*(np.concatenate([getattr(one, what) for one in found]) for what in ("images", "pixels")))

    def _aim(self, seed: int) -> Unrounded:
        """The converged images."""
        if self._kept.get(f"aim {seed} pixels") is None:  # the last that is kept
            found = self._batched(uncached(self._converged, self._model.num_steps(self._converged)), seed)
            self._kept.set(f"aim {seed} images", found.images)
            self._kept.set(f"aim {seed} pixels", found.pixels)
        return Unrounded(*(self._kept.get(f"aim {seed} {what}") for what in ("images", "pixels")))


class _TunedPick:
    """What the tuner finds; at another limit it keeps sampler, steps and place where it can."""

    def __init__(self, make: Callable[[], Tuner], known: Known):
        self._make, self._known = make, known
        self._tuner: Tuner | None = None
        self._last: Candidate | None = None

    def pick(self, limit: float) -> Setting:
        self._tuner = self._tuner or self._make()  # its minutes begin here
        again = self._tuner.again(self._last, limit) if self._last else []
        self._last = (again or self._tuner.search(limit, self._known.usual.steps))[0].candidate
        return Setting.of(self._last, self._known.shares[self._last.branch])


def _nearest(tried: Sequence[Timed], target: float) -> Timed:
    """The slowest of what takes no longer than is allowed; where nothing does, the fastest."""
    allowed = [one for one in tried if target / one.speed <= NEAR[1]]
    return min(allowed, key=lambda one: one.speed) if allowed else max(tried, key=lambda one: one.speed)


def _least(known: Known, method: str) -> float | None:
    """Seconds of a batch at a method's fastest; None where the model has nothing that it could act on."""
    return fastest(_tuned_costs(known))[0] if method == TUNED else METHODS[method].least(known)


def _tuned_costs(known: Known) -> Costs:
    """Without the places that the tuner does not know."""
    shallow = {place: cost for place, cost in known.costs.shallow.items() if place != GATED}
    return replace(known.costs, shallow=shallow)


def _unreached(known: Known, method: str) -> dict:
    least = _least(known, method)
    if least is None:
        return {"setting": METHODS[method].missing, "highest": None}
    highest = known.usual_cost / least
    return {"setting": f"at most {highest:.2g} times as fast", "highest": highest}


def _macs(known: Known, setting: Setting) -> float | None:
    """G MACs of an image, averaged over the usual steps, as the tables count fewer steps."""
    return None if setting.full is None else known.full_macs * setting.full / known.usual.steps


def _has_transformers(model: ImageModel) -> bool:
    return any(type(module).__name__ == "BasicTransformerBlock" for module in model.unet.modules())
