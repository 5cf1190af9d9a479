"""An exported U-Net in the place of a pipeline's own."""

import json
from pathlib import Path
from types import SimpleNamespace

import diffusers
import torch
from diffusers import ModelMixin
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput

from deepcache.caching.ready_passes import ReadyPasses
from deepcache.errors import DeepCacheError
from deepcache.export.call import SAMPLE, check_names, named_tensors
from deepcache.export.programs import FEATURE
from deepcache.export.runtimes import RUNTIMES
from deepcache.files import UNREADABLE

ABOUT = "export.json"


class ExportedUNet(ReadyPasses):
    """The U-Net of a folder that `export_unet` has written; a pipeline takes it as its `unet`.

    It computes in single precision, on the CPU, or wherever onnxruntime does; what it is called with may lie elsewhere
    and be in another precision, in which it returns.

    Args:
        folder: with `export.json`.
        about: what that file holds, where it is not written yet.

    Attributes:
        inputs: shapes of the tensors that it takes, by name.

    Raises:
        DeepCacheError: if it holds no export, or what runs it is missing.
    """

    dtype, device = torch.float32, torch.device("cpu")

    def __init__(self, folder: str | Path, about: dict | None = None):
        super().__init__()
        path = Path(folder) / ABOUT
        try:
            content = json.loads(path.read_text(encoding="utf-8")) if about is None else about
            self.branch, self.fingerprint, self.runtime = (content[key] for key in ("branch", "unet", "runtime"))
            self.inputs = {name: tuple(shape) for name, shape in content["inputs"].items()}
            self._class, config = getattr(diffusers, content["class"]), content["config"]
            self.config = SimpleNamespace(**config)
            if not issubclass(self._class, ModelMixin):
                raise TypeError(f"{content['class']} is no model")
            if config.get("addition_embed_type") == "text_time":  # what SDXL's pipelines ask of the layer
                width = config["projection_class_embeddings_input_dim"]
                self.add_embedding = SimpleNamespace(linear_1=SimpleNamespace(in_features=width))
            ending, _, load = RUNTIMES[self.runtime]
        except (*UNREADABLE, AttributeError, TypeError) as error:
            raise DeepCacheError(f"{path}: cannot be read as an exported U-Net ({error}): export it anew") from error
        self._full = load(Path(folder) / f"full{ending}", list(self.inputs))
        self._shallow = load(Path(folder) / f"shallow{ending}", [FEATURE, *self.inputs])

    def full(self, args: tuple, kwargs: dict) -> tuple[object, torch.Tensor]:  # noqa: D102
        tensors, returns = self._tensors(args, kwargs)
        output, feature = self._full(tensors)
        return _as_asked(output, args, kwargs, returns), feature

    def shallow(self, feature: torch.Tensor, args: tuple, kwargs: dict) -> object:  # noqa: D102
        tensors, returns = self._tensors(args, kwargs)
        (output,) = self._shallow([feature, *tensors])
        return _as_asked(output, args, kwargs, returns)

    def _tensors(self, args: tuple, kwargs: dict) -> tuple[list[torch.Tensor], bool]:
        tensors, returns = named_tensors(self._class.forward, args, kwargs)
        check_names(self.inputs, tensors)
        return [tensors[name] for name in self.inputs], returns


def _as_asked(output: torch.Tensor, args: tuple, kwargs: dict, returns: bool) -> object:
    output = output.to(args[0] if args else kwargs[SAMPLE])
    return UNet2DConditionOutput(sample=output) if returns else (output,)
