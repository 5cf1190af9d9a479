"""Replacing the forward of a module instance for a while, beside accelerate's hooks."""

from collections.abc import Callable, Iterator

from torch import nn

from deepcache.caching.instance_method import InstanceMethod
from deepcache.errors import DeepCacheError

# Where the forward of a module instance stands; accelerate keeps it under the second name while its hooks are in place.
SLOTS = ("forward", "_old_forward")


class ReplacedForward:
    """Leads the calls of a module elsewhere, from `replace` to `restore`.

    It stands below accelerate's hooks: they bring the weights to the device, and pipelines remove and add them at will.

    Args:
        module: nothing of it changes yet.

    Attributes:
        original: the forward that the module has without this.
    """

    def __init__(self, module: nn.Module):
        self._module = module
        self.original: Callable = getattr(module, self._slot())
        self._dispatch: Callable | None = None  # what takes its place

    def replace(self, forward: Callable, owner: object) -> None:
        """Lead calls to another forward, and mark the module as the owner's."""
        self._had_forward, original = "forward" in vars(self._module), self.original

        def call(*args, **kwargs):
            # Another tool may hold this beyond `restore`.
            return (forward if self._dispatch is dispatch else original)(*args, **kwargs)

        self._dispatch = dispatch = InstanceMethod(self._module, "forward", call, original, owner)
        setattr(self._module, self._slot(), dispatch)

    def restore(self) -> None:
        """Leave the module as it was."""
        for slot in SLOTS:  # accelerate's hooks may have come or gone since
            if vars(self._module).get(slot) is self._dispatch:
                if slot == "forward" and not self._had_forward:
                    del self._module.forward
                else:
                    setattr(self._module, slot, self.original)
        self._dispatch = None

    def _slot(self) -> str:
        return "_old_forward" if "_old_forward" in vars(self._module) else "forward"


def owners(module: nn.Module) -> Iterator[object]:
    """Those for whom the forward of a module is replaced, or was when another tool took it up."""
    for slot in SLOTS:
        forward = vars(module).get(slot)
        if isinstance(forward, InstanceMethod):
            yield forward.owner


def check_not_caching(model: nn.Module, doing: str, called: str = "this model") -> None:
    """DeepCacheError if DeepCache is enabled on a model or a part of it: its forward would be one of its steps."""
    if any(next(owners(module), None) is not None for module in model.modules()):
        raise DeepCacheError(f"DeepCache is enabled on {called}: disable it before {doing}")
