"""DeepCache: the U-Net runs fully at the steps of a schedule and shallowly at the others."""

import logging
from pathlib import Path
from typing import Any, Literal

from deepcache.caching.branches import OUTPUT
from deepcache.caching.clock import Call, Clock
from deepcache.caching.compiled import start_trajectory
from deepcache.caching.cut_unet import CutUNet
from deepcache.caching.execution import Execution, execution_of
from deepcache.caching.find_unet import find_unet, unwrapped
from deepcache.caching.online import OnlineSchedule, online
from deepcache.caching.plan import Plan, open_plan
from deepcache.caching.planned import PlannedSampler
from deepcache.caching.ready_passes import ReadyCut, ReadyPasses, check_place
from deepcache.caching.replaced_forward import ReplacedForward, owners
from deepcache.caching.reuse import Hold, Reuse
from deepcache.caching.scheduler_clock import SchedulerClock
from deepcache.caching.scheduler_watch import SchedulerWatch
from deepcache.caching.shallow import check_unpatched
from deepcache.caching.streams import Streams
from deepcache.caching.thread_guard import ThreadGuard
from deepcache.caching.timesteps import Mark
from deepcache.caching.trajectory import Trajectory
from deepcache.caching.unet_call import UNetCall
from deepcache.caching.whole_output import WholeOutput
from deepcache.errors import DeepCacheError

logger = logging.getLogger(__name__)


class DeepCache:
    """Caching on a pipeline or a bare U-Net (paper, Section 3.2).

    Use it as a context manager, or call `enable` and `disable`. With a pipeline, its scheduler says what a step is:
    `set_timesteps` begins a trajectory, `step` ends a step. With a U-Net by itself say so, by `start_trajectory` and
    `next_step`; where nobody does, it is seen from the timesteps (see `Clock`), and what cannot be told runs fully,
    with a warning. Calls within a step are streams, each with a feature of its own. A stream that is new, such as after
    a change of the batch, runs fully until it has one; the schedule goes on. Calls that are not the pipeline's (another
    pipeline shares the U-Net but not the scheduler) run fully, with a warning.

    What changes the U-Net's layers (adapters, LoRA) may come between trajectories, FreeU before `enable`; accelerate's
    offloading may come before or after, but not together with `compile` or `graph`.

    Passes are compiled or recorded when they first see a shape, which takes time: enable once and sample often.

    Args:
        pipe_or_unet: a diffusers pipeline that has a `unet`, or a U-Net with skip connections: of diffusers, of another
            known shape (see deepcache.caching.known_unets), or of a class that `register_unet` was told of.
        interval: N; steps 0, N, 2N, ... run fully. Give this or `schedule`.
        branch: where the U-Net is cut, from 0 (only the outermost layers run); the paper counts from 1. "output":
            behind its last layer, so that at shallow steps none runs.
        schedule: the steps that run fully, as `uniform` and `nonuniform` return them, or what decides while it samples.
        reuse: what takes the place of the skipped feature; default `Hold()`, the paper's.
        compile: compile the full and the shallow pass, each as one graph, or only the "shallow" one, which takes
            seconds; a dictionary holds torch.compile's options.
        graph: record each pass in a CUDA graph and replay it, compiled or not; without gradients only. "auto" does so
            where it can be done, and else lets passes run as they are.

    Raises:
        DeepCacheError: if an argument is out of range or the model is no U-Net that can be cut.
    """

    def __init__(
        self,
        pipe_or_unet,
        interval: int | None = None,
        branch: int | Literal["output"] = 0,
        *,
        schedule: tuple[int, ...] | OnlineSchedule | None = None,
        reuse: Reuse | None = None,
        compile: bool | Literal["shallow"] | dict[str, Any] = False,
        graph: bool | Literal["auto"] = False,
    ):
        self.schedule = online(interval, schedule)
        if reuse is not None and not isinstance(reuse, Reuse):
            raise DeepCacheError(f"reuse must be an object such as Hold() or Forecast(order=1), not {reuse!r}")
        self._interval, self.branch = interval, branch
        self.reuse = reuse if reuse is not None else Hold()
        self._execution = Execution(compile, graph)
        self._pipe, self.unet = find_unet(pipe_or_unet)
        check_place(self.unet, branch)
        self._call = UNetCall(self.unet)
        self._lost = False  # whether the pipeline was told that its U-Net is another by now
        self._streams = Streams(self.reuse, self)
        self._threads = ThreadGuard()
        self._clock = Clock()
        self._replaced: ReplacedForward | None = None  # present while enabled, as what follows
        self._cut: CutUNet | WholeOutput | ReadyCut | None = None
        self._watch: SchedulerWatch | None = None  # on a pipeline
        self._reader: str | None = None  # of what shallow steps would skip
        self.plan: Plan | None = None
        self._sampler: PlannedSampler | None = None
        self._reset()

    @classmethod
    def from_plan(cls, pipe, plan: Plan | str | Path) -> "DeepCache":
        """Caching on a pipeline as a plan says, which `deepcache.tune` makes.

        While it is enabled, the pipeline has the plan's sampler; call it with `**plan.options`, which are its number of
        steps and its guidance scale.

        Args:
            pipe: a diffusers pipeline with the weights for which the plan was made.
            plan: a `Plan`, or its file.

        Raises:
            DeepCacheError: if the plan is damaged or was made for other weights.
        """
        plan = plan if isinstance(plan, Plan) else open_plan(plan)
        execution = execution_of(plan.execution)
        options = {"compile": execution.compile, "graph": execution.graph}
        cache = cls(pipe, branch=plan.branch, schedule=plan.full_steps, reuse=plan.reuse(), **options)
        if cache._pipe is None:
            raise DeepCacheError("a plan says with which sampler: give from_plan the pipeline, not its U-Net")
        plan.check_unet(cache.unet)
        cache.plan, cache._sampler = plan, PlannedSampler(pipe, plan)
        return cache

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
        check_unpatched(self.unet)
        self.reuse.check_free(self)
        replaced = ReplacedForward(self.unet)
        self._full_forward = replaced.original
        self._cut = self._build()
        if self._sampler is not None:
            self._sampler.put()
        if self._pipe is not None:
            self._watch = SchedulerWatch(self._pipe, on_start=self._start, on_step=self._end_step)
        self._clock = Clock() if self._watch is None else SchedulerClock(self._watch)
        self._replaced = replaced
        replaced.replace(self._forward, owner=self)
        self.reuse.serve(self)
        self._begin()
        return self

    def _build(self) -> CutUNet | WholeOutput | ReadyCut:
        """Where every step is full, nothing is taken."""
        taps = self._interval != 1
        if isinstance(self.unet, ReadyPasses):
            return ReadyCut(self.unet, self._execution, taps)
        if self.branch == OUTPUT:
            return WholeOutput(self.unet, self._full_forward, self._execution, taps)
        return CutUNet(self.unet, self.branch, self._full_forward, self._execution, taps)

    def _look_at_the_unet(self) -> None:
        """At the start of a trajectory: have layers been replaced, or does somebody read what would be skipped?"""
        if self._cut.is_stale:
            self._cut.remove()
            self._cut = self._build()
        reader = self._cut.skipped_attention.reader
        if reader is not None and self._reader is None:
            logger.warning("%s keeps attention maps of what shallow steps would skip: all steps run fully", reader)
        self._reader = reader

    def disable(self) -> None:
        """Stop caching and leave the model as it was; harmless where caching is not enabled."""
        if self._replaced is None:
            return
        self._cut.remove()
        self._replaced.restore()
        if self._watch is not None:
            self._watch.stop()
        if self._sampler is not None:
            self._sampler.take_back()
        self.reuse.serve(None)
        self._cut = self._full_forward = self._replaced = self._watch = None
        self._clock = Clock()
        self._reset()

    def __enter__(self) -> "DeepCache":
        return self.enable()

    def __exit__(self, *exception) -> None:
        self.disable()

    # What can be asked

    @staticmethod
    def of(pipe_or_unet) -> "DeepCache | None":
        """The cache that is enabled on a U-Net, or on a pipeline's; None where there is none."""
        _, unet = find_unet(pipe_or_unet)
        enabled = (owner for owner in owners(unet) if isinstance(owner, DeepCache) and owner._replaced is not None)
        return next(enabled, None)

    @property
    def full_steps(self) -> tuple[int, ...]:
        """Steps of the trajectory so far (or of the last one, once it has ended) of which every call ran fully."""
        return tuple(self._trajectory.full_steps)

    @property
    def steps(self) -> int:
        """Number of steps of the trajectory so far (or of the last one, once it has ended)."""
        return self._trajectory.steps

    @property
    def mode(self) -> str | None:
        """How passes run, see deepcache.execution_modes: what "auto" has come to. None while caching is not enabled."""
        return None if self._cut is None else self._cut.mode

    @property
    def bytes_cached(self) -> int:
        """Bytes held between the steps."""
        return self._streams.nbytes

    # One trajectory

    def start_trajectory(self) -> None:
        """Forget the last trajectory: the next call of the U-Net is in step 0."""
        self._begin(told=True)

    def _begin(self, told: bool = False) -> None:
        self._clock.start(told)
        self._threads.release()
        self._reset()

    def next_step(self) -> None:
        """The calls of the U-Net from here on are those of the next step; after `start_trajectory`, of the first one.

        Raises:
            DeepCacheError: if the trajectory has had calls, and no `next_step` before them.
        """
        self._clock.next_step()

    def _start(self) -> None:
        """The pipeline begins a trajectory."""
        if self._sampler is not None:
            self._sampler.check()
        self._begin()
        if not self._lost and unwrapped(self._pipe.unet) is not self.unet:
            self._lost = True
            logger.warning("the pipeline's U-Net was replaced: it runs uncached; disable, and enable on the new one")

    def _end_step(self) -> None:
        """The pipeline's scheduler has made a step."""
        self._clock.end_step()
        if self._watch.is_over and self._streams.all_called:
            self._streams.reset()  # nothing is kept beyond the trajectory
            self._threads.release()

    def _reset(self) -> None:
        self._trajectory = Trajectory()
        self._streams.reset()
        if self._cut is not None:
            start_trajectory(self._cut.passes)
        self.schedule.reset()

    def _forward(self, *args, **kwargs):
        if self._watch is not None and self._watch.is_replaced:
            self._watch.follow()
            self._begin()
        mark = Mark(self._call.timestep(args, kwargs))
        call = self._clock.read(mark)
        with self._threads.call(begins=call is Call.TRAJECTORY):
            self._clock.take(mark, call)
            if call in (Call.TRAJECTORY, Call.UNKNOWN):
                self._reset()
            if call in (Call.FOREIGN, Call.UNKNOWN):
                return self._full_forward(*args, **kwargs)
            if call is Call.TRAJECTORY:
                self._look_at_the_unet()
            elif call is Call.STEP:
                self._trajectory.next_step()
                self._streams.next_step(self._clock.settled)
            try:
                return self._run(args, kwargs)
            except BaseException:
                self._begin()
                raise

    def _run(self, args: tuple, kwargs: dict):
        sample, trajectory = self._call.sample(args, kwargs), self._trajectory
        stream = self._streams.of((sample.shape, sample.dtype, sample.device), self._call.context(args, kwargs))
        planned = trajectory.planned(lambda step: self.schedule.is_full(step, sample))
        full = planned or not stream.can_predict(trajectory.step)
        if not self._cut.eager:
            args, kwargs = self._call.with_timestep_on_device(args, kwargs)
        if self._reader is not None:
            output, full = self._full_forward(*args, **kwargs), True
        elif full:
            output = self._cut.full(args, kwargs, lambda feature: stream.observe(trajectory.step, feature))
        else:
            output = self._cut.shallow(stream.reuse.predict(trajectory.step), args, kwargs)
        trajectory.count(full)
        return output
