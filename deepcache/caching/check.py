"""Is a cut exact? The shallow pass against the full network in which the feature was overridden."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from deepcache.caching.branches import find_cut, num_branches
from deepcache.caching.evaluation import evaluating
from deepcache.caching.find_unet import find_unet
from deepcache.caching.layer_outputs import output_watched, outputs_watched
from deepcache.caching.replaced_forward import ReplacedForward, check_not_caching
from deepcache.caching.shallow import shallow_view
from deepcache.caching.unet_call import UNetCall
from deepcache.errors import DeepCacheError, reason

CLOSE = 1e-4  # of the largest value: operations are the same, but a library may choose others


def check(unet, inputs: tuple | dict) -> int:
    """Whether a U-Net can be cached exactly: at each branch, a step that runs shallowly gives what it should.

    What it should give is what the full network does if the cached feature takes the place of what feeds the kept
    layers: the same output of each of them, so that weights that are zero before the training hide nothing. For a U-Net
    of one's own, see `register_unet`, this is the test that its layers are told rightly.

    Args:
        unet: a U-Net, or a pipeline that has one; it is left as it was.
        inputs: its positional arguments (a tuple) or its keyword arguments (a dict).

    Returns:
        The number of branches, all of which are exact.

    Raises:
        DeepCacheError: if the U-Net cannot be cut or called so, or a branch is not exact: with the branch, and the
            first layer whose output differs.
    """
    _, unet = find_unet(unet)
    check_not_caching(unet, "checking", "this U-Net")
    branches = num_branches(unet)
    with evaluating(unet), torch.no_grad():
        calls = _calls(unet, inputs)
        for branch in range(branches):
            _check_branch(unet, branch, *calls)
    return branches


def _calls(unet: nn.Module, inputs: tuple | dict) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """(what calls it with the inputs, what calls it with another sample)."""
    if not isinstance(inputs, (tuple, dict)):
        kind = type(inputs).__name__
        raise DeepCacheError(f"inputs must be a tuple of arguments or a dict of them by name, not a {kind}")
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    try:
        unet(*args, **kwargs)
        sample = UNetCall(unet).sample(args, kwargs)
        other = _noise(sample)
    except Exception as error:
        kind = type(unet).__name__
        problem = f"this {kind} cannot be called with these inputs ({reason(error)})"
        raise DeepCacheError(f"{problem}: correct them") from error
    changed = tuple(other if one is sample else one for one in args)
    named = {name: other if one is sample else one for name, one in kwargs.items()}
    return lambda: unet(*args, **kwargs), lambda: unet(*changed, **named)


def _check_branch(unet: nn.Module, branch: int, call: Callable[[], Any], call_otherwise: Callable[[], Any]) -> None:
    cut, kind = find_cut(unet, branch), type(unet).__name__
    view = shallow_view(unet, cut)
    both = set(view.modules())
    kept = {one: name for name, one in unet.named_modules() if one in both and not list(one.children())}
    fed: list[torch.Tensor] = []
    with output_watched(cut.feeder, fed.append):
        call()
    if not fed:
        feeder = type(cut.feeder).__name__
        raise DeepCacheError(f"the {feeder} that should feed branch {branch} of this {kind} does not run")
    feature = _noise(fed[-1])  # which no network has computed
    replaced = cut.feeder.register_forward_hook(lambda module, args, output: _replaced(output, feature.clone()))
    try:
        with _shown(kept) as wanted:
            whole = _tensor(call())
    finally:
        replaced.remove()
    call_otherwise()  # what is remembered from now on is of another sample, as at a step
    view.deepcache_cached.feature = feature.clone()
    shallow = ReplacedForward(unet)  # so that what runs around the U-Net's calls runs around this one
    with _shown(kept) as found:
        shallow.replace(view.forward, owner=None)
        try:
            output = _tensor(call())
        except Exception as error:
            raise DeepCacheError(
                f"branch {branch} of this {kind} cannot run alone ({type(error).__name__}: {error}): correct what its "
                "layers were said to be"
            ) from error
        finally:
            shallow.restore()
    where = _first_difference(wanted, found)
    if where is None and not _alike(output, whole):
        where = "what holds the layers"
    if where is not None:
        raise DeepCacheError(
            f"branch {branch} of this {kind} is not exact: the shallow pass differs from the full network first at "
            f"{where}, which takes more from the skipped layers than the feature"
        )


def _first_difference(wanted: list[tuple[str, torch.Tensor]], found: list[tuple[str, torch.Tensor]]) -> str | None:
    """The first layer of which a shallow pass had another output, or another number of them."""
    for (name, one), (also, other) in zip(found, wanted, strict=False):
        if name != also or not _alike(one, other):
            return name
    return None if len(wanted) == len(found) else "its end"


def _noise(like: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(like.shape, generator=generator, dtype=torch.float32)
    return (noise * (like.float().std().cpu() + CLOSE)).to(like.device, like.dtype)


def _replaced(output: Any, feature: torch.Tensor) -> Any:
    return (feature, *output[1:]) if isinstance(output, tuple) else feature


@contextmanager
def _shown(modules: dict[nn.Module, str]) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Collect (name, output) of modules in the order in which they run, on the host."""
    found: list[tuple[str, torch.Tensor]] = []

    def keep(layer: nn.Module, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            found.append((modules[layer], output.clone().cpu()))

    with outputs_watched(modules, keep):
        yield found


def _tensor(output: Any) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output[0]


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return not one.numel() or bool((one - other).abs().max() <= CLOSE * other.abs().max())
