"""DeepCache: the U-Net runs fully at the steps of a schedule and shallowly at the others."""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from deepcache.caching import schedules
from deepcache.caching.branches import find_cut
from deepcache.caching.compiled import start_trajectory
from deepcache.caching.execution import Execution
from deepcache.caching.online import OnlineSchedule
from deepcache.caching.passes import Tap, full_pass, shallow_pass
from deepcache.caching.reuse import Hold, Reuse
from deepcache.caching.shallow import check_unpatched, shallow_view
from deepcache.caching.writes import Writes
from deepcache.errors import DeepCacheError

logger = logging.getLogger(__name__)

# Where the forward of a module instance stands; accelerate keeps it under the second name while its hooks are in place.
FORWARDS = ("forward", "_old_forward")


class DeepCache:
    """Caching on a pipeline or a bare U-Net (paper, Section 3.2).

    Use it as a context manager, or call `enable` and `disable`. With a pipeline, a trajectory starts when the pipeline
    calls `scheduler.set_timesteps`; with a bare U-Net, call `start_trajectory` before each one. Steps are counted by
    calls of the U-Net, so a sampler that repeats a timestep (PLMS) is counted right. A call with another batch size or
    resolution than the one before runs fully and starts the count anew. Calls that do not belong to a trajectory of the
    pipeline (another pipeline shares the U-Net but not the scheduler) run fully, with a warning.

    What changes the U-Net's structure or blocks (adapters, FreeU) comes before `enable`; accelerate's offloading may
    come before or after, but not together with `compile` or `graph`.

    Passes are compiled or recorded when they first see a shape, which takes time: enable once and sample often.

    Args:
        pipe_or_unet: a diffusers pipeline that has a `unet`, or a diffusers U-Net with skip connections.
        interval: N; steps 0, N, 2N, ... run fully. Give this or `schedule`.
        branch: where the U-Net is cut, from 0 (only the outermost layers run); the paper counts from 1.
        schedule: the steps that run fully, as `uniform` and `nonuniform` return them, or what decides while it samples.
        reuse: what takes the place of the skipped feature; default `Hold()`, the paper's.
        compile: compile the full and the shallow pass, each as one graph; a dictionary holds torch.compile's options.
        graph: record each pass in a CUDA graph and replay it, compiled or not; without gradients only.

    Raises:
        DeepCacheError: if an argument is out of range or the model is no U-Net that can be cut.
    """

    def __init__(
        self,
        pipe_or_unet,
        interval: int | None = None,
        branch: int = 0,
        *,
        schedule: tuple[int, ...] | OnlineSchedule | None = None,
        reuse: Reuse | None = None,
        compile: bool | dict[str, Any] = False,
        graph: bool = False,
    ):
        if (interval is None) == (schedule is None):
            raise DeepCacheError("give DeepCache either an interval or a schedule")
        if interval is not None and (isinstance(interval, bool) or not isinstance(interval, int) or interval < 1):
            raise DeepCacheError(f"interval must be an integer of at least 1, not {interval!r}")
        if reuse is not None and not isinstance(reuse, Reuse):
            raise DeepCacheError(f"reuse must be an object such as Hold() or Forecast(order=1), not {reuse!r}")
        self.interval = interval
        decided_before = schedule is not None and not isinstance(schedule, OnlineSchedule)
        self.schedule = schedules.explicit(schedule) if decided_before else schedule
        self.branch = branch
        self.reuse = reuse if reuse is not None else Hold()
        self.execution = Execution(compile, graph)
        self._pipe, self.unet = _find_unet(pipe_or_unet)
        find_cut(self.unet, branch)
        self._full = frozenset(self.schedule) if decided_before else frozenset()
        self._view: nn.Module | None = None  # present while enabled
        self._passes: list[Callable] = []  # full and shallow, as they run; present while enabled
        self._dispatch = self._set_timesteps = None  # what takes the place of the U-Net's and the scheduler's methods
        self._scheduler = None
        self._reset()

    # Switching on and off

    def enable(self) -> "DeepCache":
        """Start caching; returns self.

        Raises:
            DeepCacheError: if caching is enabled on this U-Net already, another tool has patched it, or it cannot run
                compiled or from CUDA graphs where that is wanted.
        """
        for slot in FORWARDS:
            other = getattr(vars(self.unet).get(slot), "deepcache", None)
            if isinstance(other, DeepCache) and other._view is not None:
                raise DeepCacheError("DeepCache is enabled on this U-Net already: disable it first")
        if getattr(self.unet, "_compiled_call_impl", None) is not None:
            raise DeepCacheError("this U-Net was compiled in place: enable DeepCache on the uncompiled U-Net")
        if not self.execution.eager and hasattr(self.unet, "_hf_hook"):
            raise DeepCacheError(
                "accelerate moves this U-Net's weights, compile and graph need them to stay: choose one"
            )
        check_unpatched(self.unet)
        cut = find_cut(self.unet, self.branch)
        self._mid_is_cut = cut.feeder is not self.unet.mid_block
        self._adapter_blocks = sum(
            # diffusers adds an adapter's residual to the last layer of a block with cross-attention, else to its output
            kept.layers == len(block.resnets) if getattr(block, "has_cross_attention", False) else kept.whole
            for block, kept in zip(self.unet.down_blocks, cut.down, strict=False)
        )
        view = shallow_view(self.unet, cut)
        eager = self.execution.eager
        writes = Writes() if eager else None  # else the copies are part of what is compiled or recorded
        tap = Tap(self._observe if eager else None, writes)
        self._full_forward = getattr(self.unet, self._slot())
        self._passes = self.execution.prepare(
            # Where every step is full, nothing is cached.
            full_pass(self._full_forward, None if self.interval == 1 else tap),
            shallow_pass(view, writes),
            device=next(self.unet.parameters()).device,
        )
        self._full_pass, self._shallow_pass = self._passes
        self._view = view
        self._signature = inspect.signature(type(self.unet).forward)
        self._replace_forward()
        self._hook = cut.feeder.register_forward_hook(tap)
        if self._pipe is not None:
            self._watch_scheduler()
        self._reset()
        return self

    def disable(self) -> None:
        """Stop caching and leave the model as it was; harmless where caching is not enabled."""
        if self._view is None:
            return
        self._hook.remove()
        self._restore_forward()
        self._unwatch_scheduler()
        self._view = self._full_pass = self._shallow_pass = None
        self._passes = []
        self._reset()

    def __enter__(self) -> "DeepCache":
        return self.enable()

    def __exit__(self, *exception) -> None:
        self.disable()

    def _slot(self) -> str:
        # Below accelerate's hooks: they bring the weights to the device, and pipelines remove and add them at will.
        return "_old_forward" if "_old_forward" in vars(self.unet) else "forward"

    def _replace_forward(self) -> None:
        self._had_forward, full_forward = "forward" in vars(self.unet), self._full_forward

        @functools.wraps(full_forward)
        def dispatch(*args, **kwargs):
            # Another tool may hold this beyond `disable`.
            return (self._forward if self._dispatch is dispatch else full_forward)(*args, **kwargs)

        dispatch.deepcache = self
        self._dispatch = dispatch
        setattr(self.unet, self._slot(), dispatch)

    def _restore_forward(self) -> None:
        for slot in FORWARDS:  # accelerate's hooks may have come or gone since
            if vars(self.unet).get(slot) is self._dispatch:
                if slot == "forward" and not self._had_forward:
                    del self.unet.forward
                else:
                    setattr(self.unet, slot, self._full_forward)
        self._dispatch = self._full_forward = None

    # What can be asked

    @property
    def full_steps(self) -> tuple[int, ...]:
        """Steps of the trajectory so far (or of the last one, once it has ended) that ran fully."""
        return tuple(self._full_steps)

    @property
    def steps(self) -> int:
        """Number of steps of the trajectory so far (or of the last one, once it has ended)."""
        return self._step

    @property
    def bytes_cached(self) -> int:
        """Bytes held between the steps."""
        return self.reuse.nbytes

    # One trajectory

    def start_trajectory(self) -> None:
        """Forget the last trajectory: the next call of the U-Net is step 0."""
        self._reset()

    def _reset(self) -> None:
        self._step = 0
        self._full_steps: list[int] = []
        self._shape: torch.Size | None = None
        self._expected: int | None = None
        self.reuse.reset()
        start_trajectory(self._passes)
        if isinstance(self.schedule, OnlineSchedule):
            self.schedule.reset()

    def _forward(self, *args, **kwargs):
        if self._pipe is not None and self._pipe.scheduler is not self._scheduler:
            self._watch_scheduler()  # replaced since; its set_timesteps has been called unseen
            self._reset()
        sample = args[0] if args else kwargs["sample"]
        if sample.shape != self._shape and not self._is_over():
            self._reset()
            self._shape = sample.shape
            self._expected = self._calls_expected(args[1] if len(args) > 1 else kwargs.get("timestep"))
        step, over = self._step, self._is_over()
        if not (over or self.execution.eager):
            args, kwargs = _with_timestep_on_device(args, kwargs)
        try:
            if over:
                output = self._full_forward(*args, **kwargs)
                self._full_steps.append(step)
            elif self._is_full(step, sample):
                output, feature = self._full_pass(*args, **kwargs)
                self._full_steps.append(step)
                if feature is not None:
                    self._observe(feature)
            else:
                args, kwargs = self._without_skipped_residuals(args, kwargs)
                output = self._shallow_pass(self.reuse.predict(step), *args, **kwargs)
        except BaseException:
            self._reset()
            raise
        self._step += 1
        if self._step == self._expected:
            self.reuse.reset()  # the trajectory has ended: nothing is kept beyond it
        elif over and self._step == self._expected + 1:
            logger.warning("the U-Net is called more often than the scheduler has timesteps: these calls run fully")
        return output

    def _is_over(self) -> bool:
        return self._expected is not None and self._step >= self._expected

    def _is_full(self, step: int, sample: torch.Tensor) -> bool:
        if isinstance(self.schedule, OnlineSchedule):
            return self.schedule.is_full(step, sample)
        return step % self.interval == 0 if self.interval is not None else step in self._full

    def _observe(self, feature: torch.Tensor) -> None:
        self.reuse.observe(self._step, feature)

    def _without_skipped_residuals(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Leave out what ControlNets and adapters add in the skipped depth.

        ControlNet residuals of the kept skip tensors are used as they are: diffusers pairs them up from the outside in.
        """
        if not self._mid_is_cut:
            return args, kwargs  # nothing is skipped but the middle block
        if len(args) > 3:
            kwargs = {**dict(zip(list(self._signature.parameters)[1:], args, strict=False)), **kwargs}
            args = ()
        changed = {}
        if kwargs.get("mid_block_additional_residual") is not None:
            changed["mid_block_additional_residual"] = 0.0
        for name in self._adapter_arguments(kwargs):
            changed[name] = list(kwargs[name])[: self._adapter_blocks]
        return args, {**kwargs, **changed} if changed else kwargs

    def _adapter_arguments(self, kwargs: dict) -> list[str]:
        names = []
        if kwargs.get("down_intrablock_additional_residuals") is not None:
            names.append("down_intrablock_additional_residuals")
        elif kwargs.get("mid_block_additional_residual") is None and kwargs.get("down_block_additional_residuals"):
            names.append("down_block_additional_residuals")  # the older way to pass an adapter's residuals
        return names

    # The pipeline's scheduler

    def _watch_scheduler(self) -> None:
        self._unwatch_scheduler()
        self._scheduler = scheduler = self._pipe.scheduler
        self._own_set_timesteps = vars(scheduler).get("set_timesteps")
        self._timesteps_set = False
        set_timesteps = scheduler.set_timesteps

        @functools.wraps(set_timesteps)
        def set_timesteps_and_start(*args, **kwargs):
            if self._set_timesteps is set_timesteps_and_start:  # another tool may hold this beyond `disable`
                self._reset()
                self._timesteps_set = True
            return set_timesteps(*args, **kwargs)

        scheduler.set_timesteps = self._set_timesteps = set_timesteps_and_start

    def _unwatch_scheduler(self) -> None:
        if self._scheduler is not None and vars(self._scheduler).get("set_timesteps") is self._set_timesteps:
            del self._scheduler.set_timesteps
            if self._own_set_timesteps is not None:
                self._scheduler.set_timesteps = self._own_set_timesteps
        self._scheduler = self._set_timesteps = None

    def _calls_expected(self, first_timestep) -> int | None:
        """Calls of the U-Net in this trajectory, whose first has this timestep; None where nobody can know."""
        timesteps = getattr(self._scheduler, "timesteps", None)
        if timesteps is None:
            return None
        if getattr(self._scheduler, "num_inference_steps", None) is None:
            return None if self._timesteps_set else 0  # 0: it is not this scheduler that drives the U-Net
        return len(timesteps) - _position(first_timestep, timesteps)


def _position(timestep, timesteps: torch.Tensor) -> int:
    """Where in the scheduler's timesteps a trajectory begins: image-to-image leaves the first ones out.

    Pipelines pass views of the scheduler's timesteps, so the place in memory tells it, which neither waits for the
    device nor is misled by a timestep that stands there twice (PLMS). What is no such view counts as the first.
    """
    if not isinstance(timestep, torch.Tensor) or not isinstance(timesteps, torch.Tensor):
        return 0
    if timestep.untyped_storage().data_ptr() != timesteps.untyped_storage().data_ptr():
        return 0
    return (timestep.storage_offset() - timesteps.storage_offset()) // timesteps.stride(0)


def _with_timestep_on_device(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """A number would be compiled or recorded as a constant, and a graph cannot fetch a tensor from elsewhere."""
    sample = args[0] if args else kwargs["sample"]
    timestep = args[1] if len(args) > 1 else kwargs["timestep"]
    if isinstance(timestep, torch.Tensor):
        timestep = timestep.to(sample.device, non_blocking=True)
    else:  # filled on the device, for which nothing waits
        precision = torch.float64 if isinstance(timestep, float) else torch.int64  # as diffusers does
        timestep = torch.full((), timestep, dtype=precision, device=sample.device)
    if len(args) > 1:
        return (args[0], timestep, *args[2:]), kwargs
    return args, {**kwargs, "timestep": timestep}


def _find_unet(pipe_or_unet) -> tuple[object | None, nn.Module]:
    """Return (pipeline or None, U-Net)."""
    if isinstance(pipe_or_unet, nn.Module):
        pipe, unet = None, pipe_or_unet
    else:
        pipe, unet = pipe_or_unet, getattr(pipe_or_unet, "unet", None)
        if unet is None:
            raise DeepCacheError(f"{type(pipe_or_unet).__name__} has no U-Net: DeepCache needs skip connections")
        if not hasattr(pipe, "scheduler"):
            raise DeepCacheError(f"{type(pipe_or_unet).__name__} has no scheduler: give DeepCache its U-Net instead")
    if hasattr(unet, "_orig_mod"):
        raise DeepCacheError("this U-Net was compiled: enable DeepCache on the uncompiled U-Net")
    return pipe, unet
