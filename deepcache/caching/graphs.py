"""CUDA graphs: a pass is recorded once for each set of shapes and replayed, so that launching costs next to nothing."""

import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.utils import _pytree as pytree

from deepcache.errors import DeepCacheError

KEPT = 4  # sets of shapes; a graph holds memory of its own
WARM_UP = 3  # libraries choose and compile kernels when first called, which cannot be recorded


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
    """A pass that is recorded when a set of shapes comes for the first time and replayed from then on.

    What it returns is the caller's own: copies, which no later call changes. Weights are read where they lie when it is
    recorded: change them in place only.

    Args:
        function: takes and returns tensors, in any nesting; what else it takes belongs to the shapes.
        record: (function of no arguments) -> (its output, how to replay it).
        steady: so many of its first tensors are changed by torch's operations alone, not by somebody else's graph. They
            are copied only where they are others than in the call before.
    """

    def __init__(
        self, function: Callable, record: Callable[[Callable[[], object]], tuple[object, Callable]], steady: int = 0
    ):
        self._function = function
        self._record = record
        self._steady = steady
        self._recordings: OrderedDict[tuple, Recording] = OrderedDict()

    def __call__(self, *args, **kwargs):
        """As the function.

        Raises:
            DeepCacheError: where gradients are wanted, which a graph does not have.
        """
        if torch.is_grad_enabled():
            raise DeepCacheError("graph=True has no gradients: sample under torch.no_grad()")
        leaves, structure = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        key = (structure, *(_shape(leaf) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves))
        if key not in self._recordings:
            self._recordings[key] = self._new(leaves, structure)
            if len(self._recordings) > KEPT:
                self._recordings.popitem(last=False)
        self._recordings.move_to_end(key)
        recording = self._recordings[key]
        for index, (place, tensor) in enumerate(zip(recording.inputs, tensors, strict=True)):
            if index >= self._steady or not recording.holds(index, tensor):
                place.copy_(tensor, non_blocking=True)
        recording.replay()
        return _copied(recording.output)

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
        """Return the function's output and how to compute it anew, in the same place."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                function()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            output = function()
        return output, graph.replay


def _shape(tensor: torch.Tensor) -> tuple:
    return tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device


def _copied(output):
    return pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, output)
