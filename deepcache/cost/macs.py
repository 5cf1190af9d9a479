"""Multiply-accumulate operations (MACs) of convolutions and linear layers, as the paper reports them.

Norms, activations, resampling and, unless asked for, attention's products of activations are not counted. The paper's
numbers differ by up to 0.4 %, or a little more where only two digits are printed, most of them upwards: the authors'
counter adds to each convolution and linear layer its bias, and two operations for each element that a norm takes (see
deepcache.cost.macs_authors). fvcore does the counting: it traces one forward. A model on the device "meta" has shapes
but no weights, and is counted in about a second.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from deepcache.caching.evaluation import evaluating
from deepcache.caching.replaced_forward import check_not_caching
from deepcache.cost.passes import full_and_shallow
from deepcache.errors import DeepCacheError
from deepcache.models.dummy_inputs import dummy_inputs

GIGA = 1e9


def compute_macs(
    model,
    device: str | torch.device = "cpu",
    resolution: int | tuple[int, int] | None = None,
    *,
    tokens: int | None = None,
) -> float:
    """Count one full forward of a U-Net at batch 1.

    Args:
        model: a diffusers U-Net, or a pipeline that has one as `unet`.
        device: where the model lies; "meta" for a model without weights.
        resolution: side, or (height, width), of the U-Net's input; of the image in pixels for a pipeline (a first
            stage then divides it by its scale factor). Default: the U-Net's own sample size.
        tokens: length of the context of a text-conditional U-Net; default: that of the pipeline's tokenizer, else 77.

    Returns:
        MACs in G (1e9).

    Raises:
        DeepCacheError: if the model has no U-Net, lies on another device, cannot take that resolution, or needs inputs
            that its config does not tell.
    """
    unet = model if isinstance(model, nn.Module) else getattr(model, "unet", None)
    if not isinstance(unet, nn.Module):
        raise DeepCacheError(f"{type(model).__name__} has no U-Net to count")
    unet = getattr(unet, "_orig_mod", unet)  # torch.compile's wrapper cannot be traced
    _check_device(unet, torch.device(device))
    if not isinstance(model, nn.Module):
        resolution = _latent_size(model, resolution)
        tokens = tokens or _tokenizer_length(model)
    return count_ops_and_params(unet, dummy_inputs(unet, 1, resolution, device, tokens=tokens))[0] / GIGA


def count_ops_and_params(
    model: nn.Module, inputs: tuple | dict | torch.Tensor, layer_wise: bool = False, attention: bool = False
) -> tuple[int, int] | tuple[int, int, dict[str, int]]:
    """Count one forward of any module. The module is left as it was: training mode, hooks and buffers.

    Args:
        model: the module; it runs once, in evaluation mode.
        inputs: its positional arguments (a tuple, or a lone tensor) or its keyword arguments (a dict), on its device.
        layer_wise: also count by module.
        attention: also count the two products of scaled dot-product attention, as the paper does not.

    Returns:
        (MACs, parameters), and with `layer_wise` (MACs, parameters, MACs by module name), where a module's count
        includes its children's and "" is the model. Not in G.

    Raises:
        DeepCacheError: if DeepCache is enabled on the model: a forward would be one of its steps.
    """
    model = getattr(model, "_orig_mod", model)
    check_not_caching(model, "counting")
    leaves, structure = pytree.tree_flatten(as_call(inputs))
    tensors = tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))
    traceable = _TraceableOnMeta() if any(tensor.is_meta for tensor in tensors) else nullcontext()
    with left_as_it_was(model), torch.no_grad(), traceable:
        by_module = _analysis(_TensorsOnly(model, leaves, structure), tensors, attention).by_module()
    params = sum(parameter.numel() for parameter in model.parameters())
    macs = int(by_module[""])
    if not layer_wise:
        return macs, params
    inside = {name.partition(".")[2]: int(count) for name, count in by_module.items() if name}
    return macs, params, inside


def branch_macs(
    unet: nn.Module, branch: int, inputs: tuple | dict | torch.Tensor, attention: bool = False
) -> tuple[float, float]:
    """Count a full pass and the shallow pass of a branch.

    Args:
        unet: a diffusers U-Net with skip connections.
        branch: from 0; the paper counts from 1.
        inputs: its arguments, as `dummy_inputs` makes them or otherwise.
        attention: see `count_ops_and_params`.

    Returns:
        (full, shallow) in G MACs (1e9), for the batch of `inputs`.

    Raises:
        DeepCacheError: if there is no such branch, or the U-Net cannot be cut.
    """
    full, shallow = branches_macs(unet, [branch], inputs, attention)
    return full, shallow[branch]


def branches_macs(
    unet: nn.Module, branches: Iterable[int], inputs: tuple | dict | torch.Tensor, attention: bool = False
) -> tuple[float, dict[int, float]]:
    """Count a full pass once and the shallow passes of several branches: see `branch_macs`.

    Returns:
        (full, shallow by branch) in G MACs (1e9).
    """
    return full_and_shallow(
        unet, branches, lambda model: count_ops_and_params(model, inputs, attention=attention)[0] / GIGA
    )


# Pipelines and devices


def _check_device(unet: nn.Module, device: torch.device) -> None:
    for name, parameter in unet.named_parameters():
        actual = parameter.device
        if actual.type != device.type or (device.index is not None and actual.index != device.index):
            raise DeepCacheError(
                f"{type(unet).__name__}.{name} is on {actual}, not on {device}: move the model or say so"
            )


def _latent_size(pipe, resolution: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if resolution is None:
        return None
    size = (resolution, resolution) if isinstance(resolution, int) else tuple(resolution)
    factor = _first_stage_factor(pipe)
    if any(side % factor for side in size):
        raise DeepCacheError(
            f"resolution must be a multiple of the first stage's scale factor {factor}, not {resolution}"
        )
    return size[0] // factor, size[1] // factor


def _first_stage_factor(pipe) -> int:
    first_stage = getattr(pipe, "vae", None) or getattr(pipe, "vqvae", None)
    if first_stage is None:
        return 1
    known = getattr(pipe, "vae_scale_factor", None)
    return known if known is not None else 2 ** (len(first_stage.config.block_out_channels) - 1)


def _tokenizer_length(pipe) -> int | None:
    length = getattr(getattr(pipe, "tokenizer", None), "model_max_length", None)
    return length if length is not None and length < 10_000 else None  # "no limit" is written as 1e30


# One traced forward


def as_call(inputs: tuple | dict | torch.Tensor) -> tuple[tuple, dict]:
    """(positional, keyword arguments) of a call; DeepCacheError where they are of another kind."""
    if isinstance(inputs, torch.Tensor):
        return (inputs,), {}
    if isinstance(inputs, dict):
        return (), dict(inputs)
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs), {}
    raise DeepCacheError(f"inputs must be a tuple, a dict or a tensor, not {type(inputs).__name__}")


class _TensorsOnly(nn.Module):
    """A model that takes and returns nothing but tensors: torch's tracer knows no dicts, None or output classes."""

    def __init__(self, model: nn.Module, leaves: list, structure: pytree.TreeSpec):
        super().__init__()
        self.model = model
        self._leaves, self._structure = leaves, structure

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = iter(tensors)
        leaves = [next(given) if isinstance(leaf, torch.Tensor) else leaf for leaf in self._leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self._structure)
        return tuple(out for out in pytree.tree_leaves(self.model(*args, **kwargs)) if isinstance(out, torch.Tensor))


def _attention_products(inputs: list, outputs: list) -> int:
    """Queries times keys, and weights times values, of fvcore's view of scaled_dot_product_attention."""
    (*batch, queries, width), (*_, keys, _), (*_, value) = (_shape(one) for one in inputs[:3])
    return math.prod(batch) * queries * keys * (width + value)


def _convolution_padded_by_a_word(inputs: list, outputs: list) -> int:
    """Of a convolution with padding="same" or "valid", which fvcore does not know: outputs times weights of one."""
    return math.prod(_shape(outputs[0])) * math.prod(_shape(inputs[1])[1:])


def _shape(value) -> list[int]:
    return value.type().sizes()


def _analysis(model: nn.Module, tensors: tuple[torch.Tensor, ...], attention: bool):
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):  # fvcore scripts a loss when it is imported
            warnings.simplefilter("ignore", category)
        from fvcore.nn import FlopCountAnalysis
        from fvcore.nn.jit_handles import addmm_flop_jit, conv_flop_jit, linear_flop_jit

    counted = {
        "aten::_convolution": conv_flop_jit,
        "aten::_convolution_mode": _convolution_padded_by_a_word,
        "aten::linear": linear_flop_jit,
        "aten::addmm": addmm_flop_jit,
    }
    if attention:
        counted["aten::scaled_dot_product_attention"] = _attention_products
    analysis = FlopCountAnalysis(model, tensors).clear_op_handles().set_op_handle(**counted)
    # It would report every op that is left out on purpose, and every layer that this forward does not reach.
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)


_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)


class _TraceableOnMeta(TorchFunctionMode):
    """Lets the tracer see convolutions on the device "meta".

    Their kernel for "meta" trips over the sizes, which are tensors in a trace. So a linear layer stands for each one:
    it returns as much, by as many multiply-accumulates.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _CONVOLUTIONS and args[0].is_meta:
            return _as_linear_layer(*args, **kwargs)
        return func(*args, **kwargs)


def _as_linear_layer(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> torch.Tensor:
    """A linear layer that runs at each position of a convolution's output, on as many inputs as an output has weights.

    Its inputs depend on `input`: the tracer drops what nothing depends on. `groups` are in the weight's shape already.
    """
    kernel = weight.shape[2:]
    batch, size = input.shape[: -len(kernel) - 1], input.shape[-len(kernel) :]
    stride, dilation = _per_dim(stride, kernel), _per_dim(dilation, kernel)
    reach = [step * (width - 1) for step, width in zip(dilation, kernel, strict=True)]
    if isinstance(padding, str):
        padded = {"same": reach, "valid": [0] * len(kernel)}[padding]
    else:
        padded = [2 * one for one in _per_dim(padding, kernel)]
    positions = [(n + more - less - 1) // by + 1 for n, more, less, by in zip(size, padded, reach, stride, strict=True)]
    inputs = input.sum().expand(*batch, *positions, weight[0].numel())
    return nn.functional.linear(inputs, weight.flatten(1), bias).movedim(-1, len(batch))


def _per_dim(value: int | Sequence[int], dims: Sequence) -> list[int]:
    return [value] * len(dims) if isinstance(value, int) else list(value)


@contextmanager
def left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; mode and hooks as before outside (after an error fvcore leaves its hooks behind)."""
    before = [
        (current, dict(current)) for one in model.modules() for current in (one._forward_hooks, one._forward_pre_hooks)
    ]
    with evaluating(model):
        try:
            yield
        finally:
            for current, previous in before:
                current.clear()
                current.update(previous)
