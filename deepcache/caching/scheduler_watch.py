"""Watching a pipeline's scheduler: when a trajectory starts, where, and how many calls of the U-Net it has."""

from collections.abc import Callable

import torch

from deepcache.caching.instance_method import InstanceMethod


class SchedulerWatch:
    """Sees when a pipeline calls `scheduler.set_timesteps`, as it does before each trajectory.

    Args:
        pipe: a diffusers pipeline, whose scheduler may be replaced at any time.
        on_start: called right before the scheduler sets its timesteps.
    """

    def __init__(self, pipe, on_start: Callable[[], None]):
        self._pipe, self._on_start = pipe, on_start
        self._scheduler = self._set_timesteps = None  # the scheduler, and what takes the place of its method
        self.follow()

    @property
    def is_replaced(self) -> bool:
        """Whether the pipeline has another scheduler by now, whose set_timesteps may have been called unseen."""
        return self._pipe.scheduler is not self._scheduler

    def follow(self) -> None:
        """Watch the scheduler that the pipeline has now."""
        self.stop()
        self._scheduler = scheduler = self._pipe.scheduler
        self._own_set_timesteps = vars(scheduler).get("set_timesteps")
        self._timesteps_set = False
        set_timesteps = scheduler.set_timesteps

        def set_timesteps_and_start(*args, **kwargs):
            if self._set_timesteps is mine:  # another tool may hold this beyond `stop`
                self._on_start()
                self._timesteps_set = True
            return set_timesteps(*args, **kwargs)

        mine = InstanceMethod(scheduler, "set_timesteps", set_timesteps_and_start, set_timesteps)
        scheduler.set_timesteps = self._set_timesteps = mine

    def stop(self) -> None:
        """Leave the scheduler as it was."""
        if self._scheduler is not None and vars(self._scheduler).get("set_timesteps") is self._set_timesteps:
            del self._scheduler.set_timesteps
            if self._own_set_timesteps is not None:
                self._scheduler.set_timesteps = self._own_set_timesteps
        self._scheduler = self._set_timesteps = None

    def calls_expected(self, first_timestep) -> int | None:
        """Calls of the U-Net in a trajectory whose first call has this timestep; None where nobody can know."""
        timesteps = getattr(self._scheduler, "timesteps", None)
        if timesteps is None:
            return None
        if getattr(self._scheduler, "num_inference_steps", None) is None:
            return None if self._timesteps_set else 0  # 0: it is not this scheduler that drives the U-Net
        return len(timesteps) - position(first_timestep, timesteps)


def position(timestep, timesteps: torch.Tensor) -> int:
    """Where in the scheduler's timesteps, shape (T,), one stands: image-to-image leaves the first ones out.

    Pipelines pass views of the scheduler's timesteps, so the place in memory tells it, which neither waits for the
    device nor is misled by a timestep that stands there twice (PLMS). What is no such view counts as the first.
    """
    if not isinstance(timestep, torch.Tensor) or not isinstance(timesteps, torch.Tensor):
        return 0
    if timestep.untyped_storage().data_ptr() != timesteps.untyped_storage().data_ptr():
        return 0
    return (timestep.storage_offset() - timesteps.storage_offset()) // timesteps.stride(0)
