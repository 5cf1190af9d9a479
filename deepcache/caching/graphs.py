"""CUDA graphs: a pass is recorded once for each set of shapes and replayed, so that launching costs next to nothing."""

import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.utils import _pytree as pytree

from deepcache.caching.autocast import autocast_state
from deepcache.errors import DeepCacheError, reason

logger = logging.getLogger(__name__)

KEPT = 4  # sets of shapes; a graph holds memory of its own


class RecordingError(DeepCacheError):
    """A pass does something that a CUDA graph cannot hold."""


@dataclass(frozen=True)
class Recording:
    """A recorded pass.

    Attributes:
        inputs: the tensors that it reads; each call copies its arguments there.
        output: what it writes, tensors in any nesting; the next replay writes there again.
        replay: runs it.
    """

    inputs: list[torch.Tensor]
    output: object
    replay: Callable[[], None]
    _sources: dict[int, tuple[weakref.ref, int]] = field(default_factory=dict)

    def holds(self, index: int, tensor: torch.Tensor) -> bool:
        """Whether an input has this very tensor's values since the last time this was asked; from now on it has."""
        if tensor.is_inference():  # has no version
            self._sources.pop(index, None)
            return False
        source, version = self._sources.get(index, (None, None))
        if source is not None and source() is tensor and version == tensor._version:
            return True
        self._sources[index] = (weakref.ref(tensor), tensor._version)
        return False


class Graphed:
    """A pass that is recorded when a set of shapes comes for the second time and replayed from then on.

    The first time it runs as it is: libraries choose and compile kernels then, which cannot be recorded. What it
    returns is the caller's own, which no later call changes. Weights are read where they lie when it is recorded:
    change them in place only.

    Args:
        function: takes and returns tensors, in any nesting; what else it takes belongs to the shapes.
        record: (function of no arguments) -> (its output, how to replay it); RuntimeError if it cannot be recorded.
        steady: so many of its first tensors are changed by torch's operations alone, not by somebody else's graph. They
            are copied only where they are others than in the call before.
        optional: whether it runs as it is where it cannot be recorded (with a warning), or where gradients are wanted.
    """

    def __init__(
        self,
        function: Callable,
        record: Callable[[Callable[[], object]], tuple[object, Callable]],
        steady: int = 0,
        *,
        optional: bool = False,
    ):
        self._function = function
        self._record = record
        self._steady = steady
        self._optional = optional
        self._given_up = False
        self._recordings: OrderedDict[tuple, Recording | None] = OrderedDict()  # None: it has run once

    def __call__(self, *args, **kwargs):
        """As the function.

        Raises:
            DeepCacheError: where gradients are wanted, which a graph does not have.
            RecordingError: if it cannot be recorded.
        """
        if torch.is_grad_enabled() and not self._optional:
            raise DeepCacheError("graph=True has no gradients: sample under torch.no_grad()")
        if torch.is_grad_enabled() or self._given_up:
            return self._function(*args, **kwargs)
        leaves, structure = pytree.tree_flatten((args, kwargs))
        key = (structure, autocast_state(), *map(_kind, leaves))
        recording = self._recordings.get(key)
        if recording is None and key in self._recordings:
            recording = self._recorded(leaves, structure)
        self._recordings[key] = recording
        self._recordings.move_to_end(key)
        if len(self._recordings) > KEPT:
            self._recordings.popitem(last=False)
        if recording is None:
            return self._function(*args, **kwargs)
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        for index, (place, tensor) in enumerate(zip(recording.inputs, tensors, strict=True)):
            if index >= self._steady or not recording.holds(index, tensor):
                place.copy_(tensor, non_blocking=True)
        recording.replay()
        return _copied(recording.output)

    @property
    def replays(self) -> bool:
        """Whether nothing has shown yet that it cannot be recorded."""
        return not self._given_up

    def _recorded(self, leaves: list, structure: pytree.TreeSpec) -> Recording | None:
        """None where it runs as it is from now on."""
        try:
            return self._new(leaves, structure)
        except RuntimeError as error:
            message = f"the {self._function.__name__} pass cannot be recorded in a CUDA graph ({reason(error)})"
            if not self._optional:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                raise RecordingError(message) from error
            self._given_up = True
            logger.warning("%s: it runs as it is", message)
        self._recordings.clear()  # their memory may be what is missing
        return None

    def _new(self, leaves: list, structure: pytree.TreeSpec) -> Recording:
        places = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(places, structure)
        output, replay = self._record(lambda: self._function(*args, **kwargs))
        return Recording([place for place in places if isinstance(place, torch.Tensor)], output, replay)


class CudaRecorder:
    """Records on the current CUDA device; all of its graphs share memory, so no two of them may run at a time."""

    def __init__(self):
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], object]) -> tuple[object, Callable[[], None]]:
        """Return where the function's output will lie, and how to compute it there; RuntimeError where that fails."""
        before, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
        try:
            # Another thread may fetch images meanwhile, which would spoil a capture that watches all threads.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                output = function()
        except BaseException:
            torch.cuda.set_stream(before)  # torch stays on its own where it fails to end the capture
            raise
        return output, graph.replay


def _kind(leaf: object) -> object:
    """What decides the operations of a call, of one argument."""
    if isinstance(leaf, torch.Tensor):
        return tuple(leaf.shape), leaf.stride(), leaf.dtype, leaf.device
    return leaf


def _copied(output):
    return pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, output)
