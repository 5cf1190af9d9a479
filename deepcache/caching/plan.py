"""A plan: full steps and the weights of kept features, calibrated for one model, sampler and branch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import nn

from deepcache.caching import schedules
from deepcache.caching.branches import OUTPUT
from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.weighted import Weighted
from deepcache.errors import DeepCacheError
from deepcache.execution_modes import MODES
from deepcache.files import UNREADABLE, short_hash, write_json
from deepcache.sampler import Sampler


@dataclass(frozen=True)
class Plan:
    """What a calibration found, and what it holds for.

    Attributes:
        model: name of the checkpoint, or class of the pipeline.
        sha256: of its weight files, by file name; none where there are no files that the workflow knows.
        unet: of its U-Net's weights, see `fingerprint`.
        sampler: slug, with steps and guidance, such as `ddim-100` or `plms-50-cfg7.5`.
        num_steps: calls of the U-Net in a trajectory, T.
        branch: 0-based skip branch, or "output": behind the U-Net's last layer.
        precision: of the features that were recorded.
        full_steps: k of T.
        weights: for each other step, full step -> weight of its feature.
        execution: how passes ran whose time was measured, see deepcache.execution_modes, or `auto`.
        calibration: how it was found, where and with what: seeds, images, best proposals, errors; decides nothing
            later.
    """

    model: str
    sha256: Mapping[str, str]
    unet: str
    sampler: str
    num_steps: int
    branch: int | str
    precision: str
    full_steps: tuple[int, ...]
    weights: Mapping[int, Mapping[int, float]]
    execution: str = "auto"
    calibration: Mapping = field(default_factory=dict)

    def __post_init__(self):
        if self.branch != OUTPUT and not (schedules.is_integer(self.branch) and self.branch >= 0):
            raise DeepCacheError(
                f"branch of a plan must be an integer of at least 0, or '{OUTPUT}', not {self.branch!r}"
            )
        full = schedules.explicit(self.full_steps)
        if full[-1] >= self.num_steps:
            raise DeepCacheError(f"full step {full[-1]} of a plan lies beyond its {self.num_steps} steps")
        shallow = set(range(self.num_steps)).difference(full)
        nodes = {node for of in self.weights.values() for node in of}
        if set(self.weights) != shallow or not nodes <= set(full):
            raise DeepCacheError("a plan needs weights for every step that is not full, and of full steps alone")
        Weighted(self.weights)
        if self.execution not in ("auto", *MODES):
            raise DeepCacheError(f"execution must be auto or one of {', '.join(MODES)}, not {self.execution!r}")
        Sampler.parse(self.sampler)

    @property
    def settings(self) -> Sampler:
        """The sampler with its steps and guidance."""
        return Sampler.parse(self.sampler)

    @property
    def options(self) -> dict[str, float]:
        """What a pipeline has to be called with: `num_inference_steps`, `guidance_scale`."""
        return {"num_inference_steps": self.settings.steps, "guidance_scale": self.settings.guidance_scale}

    @property
    def digest(self) -> str:
        """Of what decides the images."""
        weights = [[step, sorted(of.items())] for step, of in sorted(self.weights.items())]
        decides = [self.unet, self.sampler, self.branch, list(self.full_steps), weights]
        return short_hash(decides)

    def reuse(self) -> Weighted:
        """What takes the place of the skipped feature; run it with `full_steps` as the schedule."""
        return Weighted(self.weights)

    def check(self, manifest: Mapping, sampler: str, branch: int | str) -> None:
        """Refuse what the plan was not calibrated for.

        Args:
            manifest: of the checkpoint, as `open_checkpoint` returns it.
            sampler: slug of the one with which the plan would be run.
            branch: where the U-Net would be cut.

        Raises:
            DeepCacheError: if the weights, the sampler or the branch are others.
        """
        mine = {"weights": self.sha256, "sampler": self.sampler, "branch": self.branch}
        asked = {"weights": manifest["sha256"], "sampler": sampler, "branch": branch}
        for key, value in mine.items():
            if asked[key] != value:
                problem = (
                    f"the weights of {self.model}, not those of {manifest['name']}"
                    if key == "weights"
                    else f"{key} {value}, not {asked[key]}"
                )
                raise DeepCacheError(f"this plan was calibrated for {problem}: calibrate it for what is to be run")

    def check_unet(self, unet: nn.Module) -> None:
        """Refuse a U-Net with other weights."""
        if fingerprint(unet) != self.unet:
            raise DeepCacheError(f"this plan was made for other weights, those of {self.model}: tune it anew")

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        weights = [
            {"step": step, "nodes": list(self.weights[step]), "weights": list(self.weights[step].values())}
            for step in sorted(self.weights)
        ]
        write_json(path, {**asdict(self), "full_steps": list(self.full_steps), "weights": weights})


def read_plan(path: str | Path, manifest: Mapping, sampler: str, branch: int | str) -> Plan:
    """Read a plan and check that it holds for what is to be run (see `Plan.check`).

    Raises:
        DeepCacheError: if the file is damaged or the plan was calibrated for something else; the message names it.
    """
    plan = open_plan(path)
    try:
        plan.check(manifest, sampler, branch)
    except DeepCacheError as error:
        raise DeepCacheError(f"{path}: {error}") from error
    return plan


def open_plan(path: str | Path) -> Plan:
    """Read a plan, whatever it was calibrated for; DeepCacheError if the file is damaged."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        weights = {of["step"]: dict(zip(of["nodes"], of["weights"], strict=True)) for of in content["weights"]}
        return Plan(**{**content, "full_steps": tuple(content["full_steps"]), "weights": weights})
    except DeepCacheError as error:
        raise DeepCacheError(f"{path}: {error}") from error
    except (*UNREADABLE, TypeError, AttributeError) as error:
        raise DeepCacheError(f"{path}: not a readable plan ({error}); delete it and calibrate again") from error
