"""Is a cut exact? The shallow pass against the full network in which the feature was overridden."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from deepcache.caching.branches import find_cut, num_branches
from deepcache.caching.find_unet import find_unet
from deepcache.caching.layer_outputs import first_output
from deepcache.caching.replaced_forward import owners
from deepcache.caching.shallow import shallow_view
from deepcache.caching.unet_call import UNetCall
from deepcache.errors import DeepCacheError

CLOSE = 1e-4  # of the largest value: operations are the same, but a library may choose others


def check(unet, inputs: tuple | dict) -> int:
    """Whether a U-Net can be cached exactly: at each branch, a step that runs shallowly gives what it should.

    What it should give is what the full network does if the cached feature takes the place of what feeds the kept
    layers. For a U-Net of one's own, see `register_unet`, this is the test that its layers are told rightly.

    Args:
        unet: a U-Net, or a pipeline that has one; it is left as it was.
        inputs: its positional arguments (a tuple) or its keyword arguments (a dict).

    Returns:
        The number of branches, all of which are exact.

    Raises:
        DeepCacheError: if the U-Net cannot be cut, or a branch is not exact: with the branch, and the first layer whose
            output differs.
    """
    _, unet = find_unet(unet)
    if next(owners(unet), None) is not None:
        raise DeepCacheError("DeepCache is enabled on this U-Net: disable it before checking")
    branches, training = num_branches(unet), unet.training
    unet.eval()
    try:
        for branch in range(branches):
            _check_branch(unet, branch, _calls(unet, inputs))
    finally:
        unet.train(training)
    return branches


def _calls(unet: nn.Module, inputs: tuple | dict) -> tuple[Callable, Callable]:
    """(what calls a network with the inputs, what calls it with another sample)."""
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (tuple(inputs), {})
    sample = UNetCall(unet).sample(args, kwargs)
    other = _noise(sample)
    changed = tuple(other if one is sample else one for one in args)
    named = {name: other if one is sample else one for name, one in kwargs.items()}
    return lambda network: network(*args, **kwargs), lambda network: network(*changed, **named)


@torch.no_grad()
def _check_branch(unet: nn.Module, branch: int, calls: tuple[Callable, Callable]) -> None:
    call, call_otherwise = calls
    cut, kind = find_cut(unet, branch), type(unet).__name__
    view = shallow_view(unet, cut)
    both = set(view.modules())
    kept = {module: name for name, module in unet.named_modules() if module in both and not list(module.children())}
    with _outputs({cut.feeder: ""}) as fed:
        call(unet)
    if not fed:
        raise DeepCacheError(
            f"the {type(cut.feeder).__name__} that should feed branch {branch} of this {kind} does not run"
        )
    feature = _noise(fed[-1][1])  # which no network has computed
    replaced = cut.feeder.register_forward_hook(lambda module, args, output: _replaced(output, feature.clone()))
    try:
        with _outputs(kept) as wanted:
            whole = _tensor(call(unet))
    finally:
        replaced.remove()
    call_otherwise(unet)  # what is remembered from now on is of another sample, as at a step
    view.cached.feature = feature.clone()
    with _outputs(kept) as found:
        try:
            shallow = _tensor(call(view))
        except Exception as error:
            raise DeepCacheError(
                f"branch {branch} of this {kind} cannot run alone ({type(error).__name__}: {error}): correct what its "
                "layers were said to be"
            ) from error
    if not _alike(whole, shallow):
        known = dict(wanted)
        where = next((name for name, one in found if not _alike(one, known.get(name))), "what holds them")
        raise DeepCacheError(
            f"branch {branch} of this {kind} is not exact: the shallow pass differs from the full network first at "
            f"{where}, which takes more from the skipped layers than the feature"
        )


def _noise(like: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(like.shape, generator=generator, dtype=torch.float32)
    return (noise * like.float().std().cpu()).to(like.device, like.dtype)


def _replaced(output: Any, feature: torch.Tensor) -> Any:
    return (feature, *output[1:]) if isinstance(output, tuple) else feature


@contextmanager
def _outputs(modules: dict[nn.Module, str]) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Collect (name, output) of modules in the order in which they run."""
    found: list[tuple[str, torch.Tensor]] = []

    def keep(module: nn.Module, args: tuple, output: Any) -> None:
        if isinstance(first_output(output), torch.Tensor):
            found.append((modules[module], first_output(output).clone()))

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _tensor(output: Any) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output[0]


def _alike(one: torch.Tensor, other: torch.Tensor | None) -> bool:
    if other is None or one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= CLOSE * other.abs().max())
