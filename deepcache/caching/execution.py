"""How the passes of a cached U-Net run: as they are, compiled, from CUDA graphs, or both."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import torch
from torch import nn

from deepcache.caching.compiled import Compiled
from deepcache.caching.graphs import CudaRecorder, Graphed
from deepcache.errors import DeepCacheError

logger = logging.getLogger(__name__)

# Their graphs overwrite what earlier calls returned: the feature, and the outputs that PLMS keeps.
OVERWRITING = ("reduce-overhead", "max-autotune")


@dataclass(frozen=True)
class Execution:
    """What happens to a pass before it runs.

    Attributes:
        compile: whether torch.compile takes it as one graph, or with which of its options; "shallow": the shallow pass
            alone, which has few layers, so that it takes seconds.
        graph: whether it is recorded in a CUDA graph and replayed; "auto": where that is possible, with a warning where
            a GPU's pass cannot be recorded; a recorder: one whose memory the graphs share with its others, so that none
            of all of them may run at a time with another.

    Raises:
        DeepCacheError: if the options are none that caching can live with.
    """

    compile: bool | Literal["shallow"] | dict[str, Any] = False
    graph: bool | Literal["auto"] | CudaRecorder = False

    def __post_init__(self):
        if not (isinstance(self.compile, (bool, dict)) or self.compile == "shallow"):
            raise DeepCacheError('compile must be True, False, "shallow" or a dictionary of torch.compile\'s options')
        if not (isinstance(self.graph, bool) or self.graph == "auto" or callable(self.graph)):
            raise DeepCacheError('graph must be True, False or "auto"')
        if isinstance(self.compile, dict) and self.compile.get("mode") in OVERWRITING:
            mode = self.compile["mode"]
            raise DeepCacheError(
                f"torch.compile's mode {mode!r} overwrites the cached feature: give graph=True, and "
                + ("mode 'max-autotune-no-cudagraphs'" if mode == "max-autotune" else "no mode")
            )

    @property
    def eager(self) -> bool:
        """Whether passes run as they are; of "auto" it is known only on a U-Net, see `on`."""
        return self.compile is False and not self.graph

    @property
    def name(self) -> str:
        """The mode, see deepcache.execution_modes."""
        if self.compile is False:
            return "replay" if self.graph else "eager"
        return ("graph" if self.graph else "compile") + ("_shallow" if self.compile == "shallow" else "")

    def mode_of(self, passes: Iterable[Callable]) -> str:
        """The mode in which passes that `prepare` made run: where one could not be recorded, nothing is replayed."""
        replays = all(one.replays for one in passes if isinstance(one, Graphed))
        return replace(self, graph=self.graph if replays else False).name

    def on(self, unet: nn.Module) -> "Execution":
        """The same where a U-Net lies: "auto" has become False where nothing can be recorded.

        Raises:
            DeepCacheError: if graphs are wanted where there is no CUDA device, or the weights do not stay.
        """
        device, moved = next(unet.parameters()).device, hasattr(unet, "_hf_hook")
        settled = self
        if self.graph == "auto" and (moved or device.type != "cuda"):
            if moved and device.type == "cuda":
                logger.warning("accelerate moves this U-Net's weights: its passes are not recorded")
            settled = replace(self, graph=False)
        if moved and not settled.eager:
            raise DeepCacheError(
                "accelerate moves this U-Net's weights, compile and graph need them to stay: choose one"
            )
        if settled.graph and device.type != "cuda":
            raise DeepCacheError(f"graph=True needs a CUDA device, and this U-Net is on {device.type!r}")
        return settled

    def prepare(self, full: Callable, shallow: Callable | None = None, *, device: torch.device) -> list[Callable]:
        """Make the passes of one U-Net ready; they run one after another, never side by side.

        Args:
            full: see `full_pass`.
            shallow: see `shallow_pass`, if there is one.
            device: where they run.

        Raises:
            DeepCacheError: if torch's compiler is wanted on a CPU without a C++ compiler.
        """
        passes = [full] if shallow is None else [full, shallow]
        if self.compile is not False:
            options = {"fullgraph": True, **(self.compile if isinstance(self.compile, dict) else {})}
            if device.type == "cpu" and options.get("backend", "inductor") == "inductor":
                _need_a_compiler()
            # A graph is replayed without asking torch's compiler.
            compiled = torch.compile if self.graph else Compiled
            whole = self.compile != "shallow"
            passes = [compiled(one, **options) if whole or one is shallow else one for one in passes]
        if self.graph:
            recorder = self.graph if callable(self.graph) else CudaRecorder()
            # The shallow pass's first argument is the feature, which stays from one full step to the next.
            passes = [
                Graphed(one, recorder, steady, optional=self.graph == "auto")
                for one, steady in zip(passes, (0, 1), strict=False)
            ]
        return passes


EXECUTIONS = {one.name: one for one in (Execution(*both) for both in product((False, "shallow", True), (False, True)))}


def execution_of(mode: str) -> Execution:
    """By its mode, see deepcache.execution_modes, or "auto": what is fastest of what gives the same images bit for bit.

    That is replay on a GPU, where it can be done, and eager elsewhere.
    """
    return Execution(graph="auto") if mode == "auto" else EXECUTIONS[mode]


def _need_a_compiler() -> None:
    """For a CPU, torch writes C++: without a compiler of that it fails late and at length."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # seconds, which only compiling needs

    try:
        get_cpp_compiler()
    except RuntimeError as error:
        raise DeepCacheError(
            "compiling for a CPU needs a C++ compiler, and there is none: install g++, or do without compile"
        ) from error
