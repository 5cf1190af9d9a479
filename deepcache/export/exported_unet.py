"""An exported U-Net in the place of a pipeline's own."""

import json
from pathlib import Path
from types import SimpleNamespace

import diffusers
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import nn

from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.ready_passes import ReadyPasses
from deepcache.errors import DeepCacheError
from deepcache.export.call import check_names, named_tensors
from deepcache.export.programs import FEATURE, passes, program
from deepcache.export.runtimes import RUNTIMES
from deepcache.files import UNREADABLE, write_json

ABOUT = "export.json"


def export_unet(
    unet: nn.Module, branch: int, args: tuple, kwargs: dict, folder: str | Path, runtime: str = "onnx"
) -> "ExportedUNet":
    """Write the full and the shallow pass of a diffusers U-Net for calls of one kind: one batch, one size.

    The feature is an output of the full pass and an input of the shallow one, so that whoever runs them keeps it.

    Args:
        unet: on the device and in the precision in which it is exported.
        branch: where it is cut, 0-based.
        args: of a call, as a pipeline makes it.
        kwargs: likewise.
        folder: gets `full` and `shallow`, and `export.json` that says what they take.
        runtime: `onnx`, or `torch` for torch.export's programs.

    Raises:
        DeepCacheError: if it has no such branch, a call has what is no tensor, or what writes the programs is missing.
    """
    folder = Path(folder)
    tensors = named_tensors(type(unet).forward, args, kwargs)
    ending, save, _ = RUNTIMES[runtime]
    made = passes(unet, branch, tensors)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)  # it is written last: without it nothing is there
    for name, (module, arguments) in made.items():
        names = [*([FEATURE] if name == "shallow" else []), *tensors]
        save(program(module, arguments), names, folder / f"{name}{ending}")
    about = {
        "runtime": runtime,
        "branch": branch,
        "unet": fingerprint(unet),
        "class": type(unet).__name__,
        "config": json.loads(unet.to_json_string()),
        "precision": str(unet.dtype).removeprefix("torch."),
        "inputs": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "feature": list(made["shallow"][1][0].shape),
    }
    write_json(folder / ABOUT, about)
    return ExportedUNet(folder)


class ExportedUNet(ReadyPasses):
    """The U-Net of a folder that `export_unet` has written; a pipeline takes it as its `unet`.

    Args:
        folder: with `export.json`.

    Raises:
        DeepCacheError: if it holds no export, or what runs it is missing.
    """

    def __init__(self, folder: str | Path):
        super().__init__()
        about = Path(folder) / ABOUT
        try:
            content = json.loads(about.read_text(encoding="utf-8"))
            self.branch, self.fingerprint, self.runtime = (content[key] for key in ("branch", "unet", "runtime"))
            self._inputs, self._class = content["inputs"], getattr(diffusers, content["class"])
            self.config = SimpleNamespace(**content["config"])
            self.dtype = getattr(torch, content["precision"])
            ending, _, load = RUNTIMES[self.runtime]
        except (*UNREADABLE, AttributeError, TypeError) as error:
            raise DeepCacheError(f"{about}: cannot be read as an exported U-Net ({error}): export it anew") from error
        if content["config"].get("addition_embed_type") == "text_time":  # what SDXL's pipelines ask of the layer
            width = content["config"]["projection_class_embeddings_input_dim"]
            self.add_embedding = SimpleNamespace(linear_1=SimpleNamespace(in_features=width))
        self._full = load(Path(folder) / f"full{ending}", list(self._inputs))
        self._shallow = load(Path(folder) / f"shallow{ending}", [FEATURE, *self._inputs])

    @property
    def device(self) -> torch.device:
        """Where a pipeline is to put what it is called with."""
        return torch.device("cpu")

    def full(self, args: tuple, kwargs: dict) -> tuple[object, torch.Tensor]:  # noqa: D102
        output, feature = self._full(self._tensors(args, kwargs))
        return _as_asked(output, kwargs), feature

    def shallow(self, feature: torch.Tensor, args: tuple, kwargs: dict) -> object:  # noqa: D102
        (output,) = self._shallow([feature, *self._tensors(args, kwargs)])
        return _as_asked(output, kwargs)

    def _tensors(self, args: tuple, kwargs: dict) -> list[torch.Tensor]:
        tensors = named_tensors(self._class.forward, args, kwargs)
        check_names(self._inputs, tensors)
        return [tensors[name] for name in self._inputs]


def _as_asked(output: torch.Tensor, kwargs: dict) -> object:
    return UNet2DConditionOutput(sample=output) if kwargs.get("return_dict", True) else (output,)
