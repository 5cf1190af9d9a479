"""How the passes of a cached U-Net run: as they are, compiled, from CUDA graphs, or both."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from deepcache.caching.compiled import Compiled
from deepcache.caching.graphs import CudaRecorder, Graphed
from deepcache.errors import DeepCacheError

# Their graphs overwrite what earlier calls returned: the feature, and the outputs that PLMS keeps.
OVERWRITING = ("reduce-overhead", "max-autotune")


@dataclass(frozen=True)
class Execution:
    """What happens to a pass before it runs.

    Attributes:
        compile: whether torch.compile takes it as one graph, or with which of its options.
        graph: whether it is recorded in a CUDA graph and replayed.

    Raises:
        DeepCacheError: if the options are none that caching can live with.
    """

    compile: bool | dict[str, Any] = False
    graph: bool = False

    def __post_init__(self):
        if not isinstance(self.compile, (bool, dict)) or not isinstance(self.graph, bool):
            raise DeepCacheError("compile must be True, False or a dictionary of torch.compile's options, graph a bool")
        if isinstance(self.compile, dict) and self.compile.get("mode") in OVERWRITING:
            mode = self.compile["mode"]
            raise DeepCacheError(
                f"torch.compile's mode {mode!r} overwrites the cached feature: give graph=True, and "
                + ("mode 'max-autotune-no-cudagraphs'" if mode == "max-autotune" else "no mode")
            )

    @property
    def eager(self) -> bool:
        """Whether passes run as they are."""
        return self.compile is False and not self.graph

    def prepare(self, full: Callable, shallow: Callable | None = None, *, device: torch.device) -> list[Callable]:
        """Make the passes of one U-Net ready; they run one after another, never side by side.

        Args:
            full: see `full_pass`.
            shallow: see `shallow_pass`, if there is one.
            device: where they run.

        Raises:
            DeepCacheError: if graphs are wanted where there is no CUDA device, or torch's compiler on a CPU without a
                C++ compiler.
        """
        passes = [full] if shallow is None else [full, shallow]
        if self.compile is not False:
            options = self.compile if isinstance(self.compile, dict) else {}
            if device.type == "cpu" and options.get("backend", "inductor") == "inductor":
                _need_a_compiler()
            options = {"fullgraph": True, **options}
            # A graph is replayed without asking torch's compiler.
            passes = [torch.compile(one, **options) if self.graph else Compiled(one, **options) for one in passes]
        if self.graph:
            if device.type != "cuda":
                raise DeepCacheError(f"graph=True needs a CUDA device, and this U-Net is on {device.type!r}")
            recorder = CudaRecorder()
            # The shallow pass's first argument is the feature, which stays from one full step to the next.
            passes = [Graphed(one, recorder, steady) for one, steady in zip(passes, (0, 1), strict=False)]
        return passes


def _need_a_compiler() -> None:
    """For a CPU, torch writes C++: without a compiler of that it fails late and at length."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # seconds, which only compiling needs

    try:
        get_cpp_compiler()
    except RuntimeError as error:
        raise DeepCacheError(
            "compiling for a CPU needs a C++ compiler, and there is none: install g++, or do without compile"
        ) from error
