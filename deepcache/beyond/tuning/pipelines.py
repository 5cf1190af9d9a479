"""Tuning a diffusers pipeline."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deepcache.beyond.tuning.budget import Budget
from deepcache.beyond.tuning.tune import tune_model
from deepcache.beyond.tuning.tuner import Effort, Tried
from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.plan import Plan
from deepcache.errors import DeepCacheError
from deepcache.quality.partial import Partial
from deepcache.sampler import GUIDANCE_SCALE, Sampler
from deepcache.sampling.pipeline_model import PipelineModel


def tune(
    pipe,
    prompts: Sequence[str],
    *,
    speedup: float | None = None,
    seconds: float | None = None,
    macs: float | None = None,
    steps: int = 50,
    guidance_scale: float = GUIDANCE_SCALE,
    batch_size: int = 1,
    minutes: float = 10.0,
    execution: str = "auto",
    partial: str | Path | None = None,
    on_tried: Callable[[Tried], None] = lambda tried: None,
    **call,
) -> Plan:
    """The sampler, steps, branch, full steps and weights with which a pipeline errs least within a budget.

    Give one of `speedup`, `seconds` and `macs`. Times are measured on the pipeline's device. The error is that of the
    images to the converged solution: many steps from the same noise.

    Args:
        pipe: a diffusers pipeline that paints from prompts with a U-Net: Stable Diffusion, SDXL.
        prompts: what it is used for; a dozen are enough.
        speedup: how many times as fast as `steps` steps without caching.
        seconds: for an image.
        macs: G MACs (1e9) of the U-Net for an image.
        steps: how many it usually takes.
        guidance_scale: that it is used with.
        batch_size: images at a time, for the measured times.
        minutes: after which nothing new is begun.
        execution: how passes run, see deepcache.execution_modes; `auto`: replayed on a GPU.
        partial: file that keeps what was found out until all is: the same call goes on from there.
        on_tried: called with each candidate that was judged.
        call: more arguments of the pipeline's call, such as `height` and `negative_prompt`.

    Returns:
        A plan for `DeepCache.from_plan`, to be kept with `plan.save(path)`.

    Raises:
        DeepCacheError: if there are no prompts, the pipeline is of another kind, or the budget cannot be reached.
    """
    _check(pipe, prompts, call)
    budget = Budget(speedup, seconds, macs)
    usual, effort = Sampler("ddim", steps, guidance_scale=float(guidance_scale)), Effort(minutes=minutes)
    kept = None
    if partial is not None:
        key = {"unet": fingerprint(pipe.unet), "prompts": list(prompts), "call": repr(sorted(call.items()))}
        key |= {"budget": budget.words, "usual": usual.slug, "batch_size": batch_size, "execution": execution}
        kept = Partial(Path(partial), key, every=10)
    options = {"batch_size": batch_size, "execution": execution, "effort": effort, "partial": kept}
    with _borrowed(pipe):
        model, unet = PipelineModel(pipe, list(prompts), call), pipe.unet
        tuned = tune_model(model, usual, budget, unet.device, **options, on_tried=on_tried)
        plan = tuned.plan(model, type(pipe).__name__, str(unet.dtype).removeprefix("torch."), {}, execution)
    if kept is not None:
        kept.discard()
    return plan


def _check(pipe, prompts: Sequence[str], call: dict) -> None:
    if isinstance(prompts, str) or not prompts:
        raise DeepCacheError("prompts must be a list of at least one prompt: what the pipeline is used for")
    if not all(hasattr(pipe, part) for part in ("unet", "vae", "scheduler", "image_processor")):
        raise DeepCacheError(
            f"tune paints from prompts with a U-Net and a first stage, and {type(pipe).__name__} does not"
        )
    takes = inspect.signature(type(pipe).__call__).parameters
    for name in call:
        if name not in takes:  # some pipelines swallow what they do not know
            raise DeepCacheError(f"{name}: {type(pipe).__name__} takes no such argument")


@contextmanager
def _borrowed(pipe) -> Iterator[None]:
    """Its scheduler and its progress bar are put back."""
    own, bar = pipe.scheduler, dict(getattr(pipe, "_progress_bar_config", {}))
    pipe.set_progress_bar_config(disable=True)
    try:
        yield
    finally:
        pipe.scheduler = own
        pipe.set_progress_bar_config(**{"disable": False, **bar})
