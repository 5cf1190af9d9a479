"""Seeing what a pipeline does with its scheduler: `set_timesteps` before each trajectory, `step` after each step."""

from collections import deque
from collections.abc import Callable

import torch

from deepcache.caching.instance_method import InstanceMethod
from deepcache.caching.timesteps import Timestep, in_one_array, moved

ARRAYS = 3  # of timesteps that are known: a pipeline may set them again and go on with those from before (LEDITS++)


class MethodWatch:
    """Sees the calls of one method of one instance, from now to `stop`.

    Args:
        instance: of which it is a method.
        name: of the method.
        on_call: called with the same arguments after each call that succeeds.
    """

    def __init__(self, instance: object, name: str, on_call: Callable):
        self._instance, self._name = instance, name
        self._own = vars(instance).get(name)
        method = getattr(instance, name)

        def call(*args, **kwargs):
            output = method(*args, **kwargs)
            if self._method is mine:  # another tool may hold this beyond `stop`
                on_call(*args, **kwargs)
            return output

        self._method = mine = InstanceMethod(instance, name, call, method, owner=self)
        setattr(instance, name, mine)

    def stop(self) -> None:
        """Leave the instance as it was."""
        if vars(self._instance).get(self._name) is self._method:
            delattr(self._instance, self._name)
            if self._own is not None and not _has_ended(self._own):
                setattr(self._instance, self._name, self._own)
        self._method = None


def _has_ended(method: Callable) -> bool:
    """Whether it is another watch's, which has been stopped before this one."""
    owner = method.owner if isinstance(method, InstanceMethod) else None
    return isinstance(owner, MethodWatch) and owner._method is None


class SchedulerWatch:
    """Sees where the scheduler of a pipeline stands.

    Args:
        pipe: a diffusers pipeline, whose scheduler may be replaced at any time.
        on_start: called once the scheduler has set its timesteps.
        on_step: called after each of its steps.

    Attributes:
        timesteps_set: whether it has set them since it is watched.
        is_over: whether the step of its last timestep is done.
    """

    def __init__(self, pipe, on_start: Callable[[], None], on_step: Callable[[], None]):
        self._pipe, self._on_start, self._on_step = pipe, on_start, on_step
        self._methods: list[MethodWatch] = []
        self.follow()

    @property
    def is_replaced(self) -> bool:
        """Whether the pipeline has another scheduler by now, whose set_timesteps may have been called unseen."""
        return self._pipe.scheduler is not self._scheduler

    def follow(self) -> None:
        """Watch the scheduler that the pipeline has now."""
        self.stop()
        self._scheduler = scheduler = self._pipe.scheduler
        self._earlier: deque = deque([getattr(scheduler, "timesteps", None)], maxlen=ARRAYS)
        self.timesteps_set = False
        self.count_anew()
        self._methods.append(MethodWatch(scheduler, "set_timesteps", self._see_start))
        if hasattr(scheduler, "step"):
            self._methods.append(MethodWatch(scheduler, "step", self._see_step))

    def stop(self) -> None:
        """Leave the scheduler as it was."""
        while self._methods:
            self._methods.pop().stop()
        self._scheduler = None

    def count_anew(self) -> None:
        """A trajectory begins, perhaps over the same timesteps."""
        self._steps, self.is_over = 0, False

    def owns(self, timestep: Timestep) -> bool:
        """Whether a timestep lies in the scheduler's array."""
        return any(in_one_array(timestep, array) for array in self._arrays())

    def _see_start(self, *args, **kwargs) -> None:
        self._earlier.appendleft(getattr(self._scheduler, "timesteps", None))
        self.timesteps_set = True
        self.count_anew()
        self._on_start()

    def _see_step(self, *args, **kwargs) -> None:
        over, self._steps = self.is_over, self._steps + 1
        timestep = args[1] if len(args) > 1 else kwargs.get("timestep")
        arrays = [array for array in self._arrays() if in_one_array(timestep, array)]
        if arrays:
            self.is_over = moved(timestep, arrays[0][-1]) == 0
        else:
            self.is_over = any(self._steps >= len(array) for array in self._arrays()[:1])
        if over and not self.is_over:  # another trajectory over the same timesteps
            self._steps = 1
            self._on_start()
        self._on_step()

    def _arrays(self) -> list[torch.Tensor]:
        """The scheduler's timesteps as the pipeline has changed them, and as they were set, latest first."""
        found = (getattr(self._scheduler, "timesteps", None), *self._earlier)
        return [array for array in found if isinstance(array, torch.Tensor) and len(array)]
