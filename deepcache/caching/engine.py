"""DeepCache: the U-Net runs fully at the steps of a schedule and shallowly at the others."""

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
from deepcache.caching.replaced_forward import ReplacedForward, owners
from deepcache.caching.reuse import Hold, Reuse
from deepcache.caching.scheduler_watch import SchedulerWatch
from deepcache.caching.shallow import check_unpatched, shallow_view
from deepcache.caching.skipped_residuals import SkippedResiduals
from deepcache.caching.trajectory import Trajectory
from deepcache.caching.unet_call import sample_of, timestep_of, with_timestep_on_device
from deepcache.caching.writes import Writes
from deepcache.errors import DeepCacheError

logger = logging.getLogger(__name__)


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
        if interval is not None and (not schedules.is_integer(interval) or interval < 1):
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
        self._lost = False  # whether the pipeline was told that its U-Net is another by now
        self._full = frozenset(self.schedule) if decided_before else frozenset()
        self._view: nn.Module | None = None  # present while enabled
        self._passes: list[Callable] = []  # full and shallow, as they run; present while enabled
        self._watch: SchedulerWatch | None = None  # present while enabled on a pipeline
        self._reset()

    # Switching on and off

    def enable(self) -> "DeepCache":
        """Start caching; returns self.

        Raises:
            DeepCacheError: if caching is enabled on this U-Net already, another tool has patched it, or it cannot run
                compiled or from CUDA graphs where that is wanted.
        """
        if DeepCache.of(self.unet) is not None:
            raise DeepCacheError("DeepCache is enabled on this U-Net already: DeepCache.of(unet).disable() ends it")
        if getattr(self.unet, "_compiled_call_impl", None) is not None:
            raise DeepCacheError("this U-Net was compiled in place: enable DeepCache on the uncompiled U-Net")
        if not self.execution.eager and hasattr(self.unet, "_hf_hook"):
            raise DeepCacheError(
                "accelerate moves this U-Net's weights, compile and graph need them to stay: choose one"
            )
        check_unpatched(self.unet)
        self.reuse.check_free(self)
        cut = find_cut(self.unet, self.branch)
        view = shallow_view(self.unet, cut)
        eager = self.execution.eager
        writes = Writes() if eager else None  # else the copies are part of what is compiled or recorded
        tap = Tap(self._observe if eager else None, writes)
        self._replaced = ReplacedForward(self.unet)
        self._full_forward = self._replaced.original
        self._passes = self.execution.prepare(
            # Where every step is full, nothing is cached.
            full_pass(self._full_forward, None if self.interval == 1 else tap),
            shallow_pass(view, writes),
            device=next(self.unet.parameters()).device,
        )
        self._full_pass, self._shallow_pass = self._passes
        self._view = view
        self.reuse.serve(self)
        self._residuals = SkippedResiduals(self.unet, cut)
        self._replaced.replace(self._forward, owner=self)
        self._hook = cut.feeder.register_forward_hook(tap)
        if self._pipe is not None:
            self._watch = SchedulerWatch(self._pipe, on_start=self._start)
        self._reset()
        return self

    def disable(self) -> None:
        """Stop caching and leave the model as it was; harmless where caching is not enabled."""
        if self._view is None:
            return
        self._hook.remove()
        self._replaced.restore()
        if self._watch is not None:
            self._watch.stop()
        self.reuse.serve(None)
        self._view = self._full_pass = self._shallow_pass = self._full_forward = self._replaced = self._watch = None
        self._passes = []
        self._reset()

    def __enter__(self) -> "DeepCache":
        return self.enable()

    def __exit__(self, *exception) -> None:
        self.disable()

    # What can be asked

    @staticmethod
    def of(pipe_or_unet) -> "DeepCache | None":
        """The cache that is enabled on a U-Net, or on a pipeline's; None where there is none."""
        _, unet = _find_unet(pipe_or_unet)
        enabled = (owner for owner in owners(unet) if isinstance(owner, DeepCache) and owner._view is not None)
        return next(enabled, None)

    @property
    def full_steps(self) -> tuple[int, ...]:
        """Steps of the trajectory so far (or of the last one, once it has ended) that ran fully."""
        return tuple(self._trajectory.full_steps)

    @property
    def steps(self) -> int:
        """Number of steps of the trajectory so far (or of the last one, once it has ended)."""
        return self._trajectory.step

    @property
    def bytes_cached(self) -> int:
        """Bytes held between the steps."""
        return self.reuse.nbytes

    # One trajectory

    def start_trajectory(self) -> None:
        """Forget the last trajectory: the next call of the U-Net is step 0."""
        self._reset()

    def _start(self) -> None:
        """The pipeline begins a trajectory."""
        self._reset()
        if not self._lost and unwrapped(self._pipe.unet) is not self.unet:
            self._lost = True
            logger.warning("the pipeline's U-Net was replaced: it runs uncached; disable, and enable on the new one")

    def _reset(self) -> None:
        self._trajectory = Trajectory()
        self.reuse.reset()
        start_trajectory(self._passes)
        if isinstance(self.schedule, OnlineSchedule):
            self.schedule.reset()

    def _forward(self, *args, **kwargs):
        if self._watch is not None and self._watch.is_replaced:
            self._watch.follow()
            self._reset()
        self._trajectory.check_thread()
        sample = sample_of(args, kwargs)
        if sample.shape != self._trajectory.shape and not self._trajectory.is_over:
            self._reset()
            expected = None if self._watch is None else self._watch.calls_expected(timestep_of(args, kwargs))
            self._trajectory = Trajectory(sample.shape, expected)
        step, over = self._trajectory.step, self._trajectory.is_over
        if not (over or self.execution.eager):
            args, kwargs = with_timestep_on_device(args, kwargs)
        try:
            if over:
                output = self._full_forward(*args, **kwargs)
                self._trajectory.full_steps.append(step)
            elif self._is_full(step, sample):
                output, feature = self._full_pass(*args, **kwargs)
                self._trajectory.full_steps.append(step)
                if feature is not None:
                    self._observe(feature)
            else:
                args, kwargs = self._residuals.left_out(args, kwargs)
                output = self._shallow_pass(self.reuse.predict(step), *args, **kwargs)
        except BaseException:
            self._reset()
            raise
        trajectory = self._trajectory
        trajectory.step += 1
        if trajectory.step == trajectory.expected:
            self.reuse.reset()  # the trajectory has ended: nothing is kept beyond it
        elif over and trajectory.step == trajectory.expected + 1:
            logger.warning("the U-Net is called more often than the scheduler has timesteps: these calls run fully")
        return output

    def _is_full(self, step: int, sample: torch.Tensor) -> bool:
        if isinstance(self.schedule, OnlineSchedule):
            return self.schedule.is_full(step, sample)
        return step % self.interval == 0 if self.interval is not None else step in self._full

    def _observe(self, feature: torch.Tensor) -> None:
        self.reuse.observe(self._trajectory.step, feature)


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
    return pipe, unwrapped(unet)


def unwrapped(unet: nn.Module) -> nn.Module:
    """The U-Net itself where peft has put a model of its own around it, whose forward calls the U-Net's."""
    return unet.get_base_model() if hasattr(unet, "get_base_model") else unet
