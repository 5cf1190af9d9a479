"""Writing a U-Net's two passes for another runtime, compared with the U-Net itself."""

import json
from pathlib import Path

import torch
from diffusers import ModelMixin
from torch import nn

from deepcache.caching.cut_unet import CutUNet
from deepcache.caching.evaluation import evaluating
from deepcache.caching.execution import Execution
from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.replaced_forward import check_not_caching
from deepcache.errors import DeepCacheError
from deepcache.export.call import named_tensors
from deepcache.export.exported_unet import ABOUT, ExportedUNet
from deepcache.export.programs import FEATURE, passes, program
from deepcache.export.runtimes import RUNTIMES
from deepcache.files import write_json

AGREES = 1e-4  # of the largest value


@torch.no_grad()
def export_unet(
    unet: nn.Module, branch: int, args: tuple, kwargs: dict, folder: str | Path, runtime: str = "onnx"
) -> tuple[ExportedUNet, dict[str, float]]:
    """Write the full and the shallow pass of a diffusers U-Net for calls of one kind: one batch, one size.

    The feature is an output of the full pass and an input of the shallow one, so that whoever runs them keeps it.

    Args:
        unet: on the CPU, in single precision.
        branch: where it is cut, 0-based.
        args: of a call, as a pipeline makes it.
        kwargs: likewise.
        folder: gets `full` and `shallow`, and in the end `export.json`, which says what they take.
        runtime: `onnx`, or `torch` for torch.export's programs.

    Returns:
        unet: the exported one.
        difference: of `full`, `shallow` and `feature`: the largest from the U-Net's own, as a share of the largest
            value.

    Raises:
        DeepCacheError: if it is no diffusers U-Net, has no such branch, DeepCache is enabled on it, a call has what is
            no tensor, what writes the programs is missing, or what was exported computes something else.
    """
    if not isinstance(unet, ModelMixin):
        raise DeepCacheError(f"U-Nets of diffusers can be exported, and {type(unet).__name__} is none")
    check_not_caching(unet, "exporting", "this U-Net")
    folder = Path(folder)
    tensors, _ = named_tensors(type(unet).forward, args, kwargs)
    ending, save, _ = RUNTIMES[runtime]
    with evaluating(unet):
        made = passes(unet, branch, tensors)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)  # without it nothing is there
        for name, (module, arguments) in made.items():
            names = [*([FEATURE] if name == "shallow" else []), *tensors]
            save(program(module, arguments), names, folder / f"{name}{ending}")
        about = {
            "runtime": runtime,
            "branch": branch,
            "unet": fingerprint(unet),
            "class": type(unet).__name__,
            "config": json.loads(unet.to_json_string()),
            "inputs": {name: list(tensor.shape) for name, tensor in tensors.items()},
            "feature": list(made["shallow"][1][0].shape),
        }
        exported = ExportedUNet(folder, about)
        difference = _compare(unet, exported, args, kwargs)
    worst = max(difference, key=difference.get)
    if not difference[worst] <= AGREES:
        problem = f"{worst} differs by {difference[worst]:.1e} of the largest value"
        raise DeepCacheError(f"{folder}: the exported U-Net computes something else: {problem}")
    write_json(folder / ABOUT, about)
    return exported, difference


def _compare(unet: nn.Module, exported: ExportedUNet, args: tuple, kwargs: dict) -> dict[str, float]:
    own, features = CutUNet(unet, exported.branch, unet.forward, Execution(), True), []
    try:
        whole = own.full(args, kwargs, features.append)[0]
        (feature,) = features
        found, its_feature = exported.full(args, kwargs)
        shallow = exported.shallow(feature, args, kwargs)[0]
        pairs = {"full": (whole, found[0]), "feature": (feature, its_feature)}
        pairs["shallow"] = own.shallow(feature, args, kwargs)[0], shallow
        return {name: float((one - other).abs().max() / one.abs().max()) for name, (one, other) in pairs.items()}
    finally:
        own.remove()
