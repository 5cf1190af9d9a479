"""A plan as options of a program: the file of one, or the speed-up for which one is made and kept."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deepcache import cli
from deepcache.errors import DeepCacheError
from deepcache.generation.kinds import IMAGES, KINDS
from deepcache.methods.method import Method
from deepcache.sampler import NAMES

if TYPE_CHECKING:
    import torch

    from deepcache.caching.plan import Plan

USUAL = IMAGES.usual  # where nothing else is said


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add what `plan_of` and `sampling_of` read."""
    parser.add_argument("--plan", type=Path, metavar="JSON", help="what tune.py found for this checkpoint")
    parser.add_argument("--speedup", type=cli.positive_number, metavar="X", help="over the steps, all full: tuned once")
    parser.add_argument("--sampler", help=f"{', '.join(NAMES)}; where not given, {_usual('sampler')}")
    parser.add_argument("--steps", type=cli.positive, help=f"where not given, {_usual('steps')}")
    parser.add_argument("--guidance-scale", type=cli.number, help=f"where not given, {_usual('guidance_scale')}")


def _usual(name: str) -> str:
    """A setting's usual value, and what it is for the kinds of checkpoints that have another."""
    others = [f"{kind.usual[name]} for {kind.label}" for kind in KINDS if kind.usual[name] != USUAL[name]]
    return ", ".join([str(USUAL[name]), *others])


def check_planned(arguments: argparse.Namespace, method: Method) -> None:
    """Refuse what does not go with --plan and --speedup, before anything is loaded."""
    if arguments.plan is None and arguments.speedup is None:
        return
    option = "--plan" if arguments.plan is not None else "--speedup"
    if arguments.plan is not None and arguments.speedup is not None:
        raise DeepCacheError("--speedup: the plan says how fast it is: give one of --plan and --speedup")
    if method.caches:
        raise DeepCacheError(f"--cache-interval: {option} says what is cached: leave it out")
    if arguments.images is not None:
        raise DeepCacheError(f"--images: {option} is for trajectories from noise: leave one of them out")
    if arguments.speedup is not None and arguments.sampler is not None:
        raise DeepCacheError("--sampler: --speedup finds the sampler: leave it out")


def plan_of(arguments: argparse.Namespace, device: "torch.device", precision: str) -> "Plan | None":
    """The plan of the file; the one that is kept for this speed-up, or a new one; None where none is asked for."""
    from deepcache.beyond.tuning.budget import Budget
    from deepcache.beyond.tuning.checkpoint import Asked, tune_checkpoint
    from deepcache.beyond.tuning.plan_cache import cached_plan
    from deepcache.caching.plan import open_plan

    if arguments.plan is not None:
        return open_plan(arguments.plan)
    if arguments.speedup is None:
        return None
    call = {name: getattr(arguments, name) for name in ("height", "width", "negative_prompt")}
    asked = Asked(
        arguments.checkpoint,
        Budget(speedup=arguments.speedup),
        prompts=arguments.prompts,
        steps=USUAL["steps"] if arguments.steps is None else arguments.steps,
        guidance_scale=arguments.guidance_scale,
        batch_size=arguments.batch_size,
        execution=arguments.execution,
        call={name: value for name, value in call.items() if value is not None},
        variant=arguments.variant,
    )
    return tune_checkpoint(asked, device, precision, cached_plan).plan


def sampling_of(arguments: argparse.Namespace, plan: "Plan | None", usual: Mapping = USUAL) -> dict:
    """`sampler`, `steps` and `guidance_scale`: the plan's, the options', or the `usual` ones.

    Raises:
        DeepCacheError: if an option says something else than the plan.
    """
    given = {name: getattr(arguments, name) for name in USUAL}
    if plan is None:
        return {name: usual[name] if value is None else value for name, value in given.items()}
    settings = plan.settings
    planned = {"sampler": settings.name, "steps": settings.steps, "guidance_scale": settings.guidance_scale}
    if arguments.speedup is not None:  # there --steps says what is usual
        given["steps"] = None
    for name, value in given.items():
        if value not in (None, planned[name]):
            option = f"--{name.replace('_', '-')}"
            raise DeepCacheError(f"{option} {value}: the plan has {planned[name]}: leave it out, or tune anew")
    return planned
