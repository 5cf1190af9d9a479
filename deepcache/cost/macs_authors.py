"""MACs as the authors of the paper counted them, beside our own definition in deepcache.cost.macs.

Their counter (DeepCache/flops.py of github.com/horseee/DeepCache) hooks each layer by its type and adds up

- a convolution: multiply-accumulates, and one operation for each element of the output if it has a bias;
- a linear layer: multiply-accumulates, and `out_features` if it has a bias: once a call, not once a token;
- a norm (GroupNorm, LayerNorm): two operations for each element of the input (one without scale and shift);
- nothing else of a U-Net: no activations, no products of attention, no resampling without weights.

A shallow pass is counted in the same way, by the layers that run in it.

The numbers depend on whose layers were hooked. Stable Diffusion and BK-SDM ran in diffusers. LDM-4-G ran in CompVis's
code, whose GroupNorm32 the counter does not know, as it looks types up exactly: the norms of the resnets and the last
one count nothing, those of the transformers do. The DDPM that the authors released has 1x1 convolutions where diffusers
has linear layers in attention, so their biases count at each position; yet the MACs printed for CIFAR-10 are those of
diffusers' layers (Table 2, N=2: 4.1545 G, printed 4.15; with convolutions 4.1552 G). LSUN's digits fit both.

Tables 1 and 2 come out to the last digit, and Table 3 but for Stable Diffusion at N=5. Table 12 is cut off after two
decimals rather than rounded; tests/cost/test_macs_authors.py lists the cells that differ, and why.
"""

from collections.abc import Iterable

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from deepcache.caching.replaced_forward import check_not_caching
from deepcache.cost.macs import GIGA, as_call, left_as_it_was
from deepcache.cost.passes import full_and_shallow
from deepcache.errors import DeepCacheError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.GroupNorm, nn.LayerNorm)

DIFFUSERS, DDIM, LATENT_DIFFUSION = CODES = ("diffusers", "ddim", "latent-diffusion")


def authors_macs(unet: nn.Module, inputs: tuple | dict | torch.Tensor, code: str = DIFFUSERS) -> float:
    """Count one forward of any module, a U-Net's full pass for one. The module is left as it was.

    Args:
        unet: the module, on any device; on "meta" it needs no weights. It runs once, in evaluation mode.
        inputs: its positional arguments (a tuple, or a lone tensor) or its keyword arguments (a dict), on its device.
        code: whose layers to count for those of diffusers: "diffusers"; "ddim", the DDPM in which attention's linear
            layers are 1x1 convolutions; "latent-diffusion", in which the norms outside the transformers are not seen.

    Returns:
        MACs in G (1e9), for the batch of `inputs`; the paper's are of batch 1.

    Raises:
        DeepCacheError: if there is no such code, or DeepCache is enabled on the module.
    """
    return _count(getattr(unet, "_orig_mod", unet), inputs, code) / GIGA


def authors_branches_macs(
    unet: nn.Module, branches: Iterable[int], inputs: tuple | dict | torch.Tensor, code: str = DIFFUSERS
) -> tuple[float, dict[int, float]]:
    """Count a full pass once and the shallow passes of several branches.

    Args:
        unet: a diffusers U-Net with skip connections.
        branches: from 0; the paper counts from 1.
        inputs: see `authors_macs`.
        code: see `authors_macs`.

    Returns:
        (full, shallow by branch) in G MACs (1e9), for the batch of `inputs`.

    Raises:
        DeepCacheError: as `authors_macs`, and if there is no such branch, or the U-Net cannot be cut.
    """
    return full_and_shallow(unet, branches, lambda model: authors_macs(model, inputs, code))


def _count(model: nn.Module, inputs: tuple | dict | torch.Tensor, code: str) -> int:
    if code not in CODES:
        raise DeepCacheError(f"code must be one of {', '.join(CODES)}, not {code!r}")
    check_not_caching(model, "counting")
    args, kwargs = as_call(inputs)
    unseen = _unseen_norms(model) if code == LATENT_DIFFUSION else set()
    pointwise = _attentions_linear_layers(model) if code == DDIM else set()
    total = 0

    def add(layer: nn.Module, _, output: torch.Tensor) -> None:
        nonlocal total
        total += _operations(layer, output, layer in pointwise)

    with left_as_it_was(model), torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, (*CONVOLUTIONS, nn.Linear, *NORMS)) and layer not in unseen:
                layer.register_forward_hook(add)
        model(*args, **kwargs)
    return total


def _operations(layer: nn.Module, output: torch.Tensor, pointwise: bool) -> int:
    """Of one call: see the top of this module.

    Args:
        layer: a convolution, a linear layer or a norm.
        output: what it returned; of a norm as large as its input.
        pointwise: whether this linear layer stands for a 1x1 convolution.
    """
    elements = output.numel()
    if isinstance(layer, NORMS):
        return elements * (1 if layer.weight is None else 2)
    macs = elements * layer.weight[0].numel()
    if layer.bias is None:
        return macs
    return macs + (layer.out_features if isinstance(layer, nn.Linear) and not pointwise else elements)


def _unseen_norms(model: nn.Module) -> set[nn.Module]:
    """GroupNorms that are GroupNorm32 in CompVis's code."""
    transformers = (module for module in model.modules() if isinstance(module, Transformer2DModel))
    seen = {part for transformer in transformers for part in transformer.modules()}
    return {module for module in model.modules() if isinstance(module, nn.GroupNorm)} - seen


def _attentions_linear_layers(model: nn.Module) -> set[nn.Module]:
    attentions = (module for module in model.modules() if isinstance(module, Attention))
    return {part for attention in attentions for part in attention.modules() if isinstance(part, nn.Linear)}
