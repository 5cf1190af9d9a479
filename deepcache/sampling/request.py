"""What a job is asked for: model, sampler, method, seed, device. Resolved once, from the options of its program."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepcache import cli
from deepcache.errors import DeepCacheError
from deepcache.methods.method import Caching, Method
from deepcache.methods.schedule import Place
from deepcache.sampler import Sampler

if TYPE_CHECKING:
    import torch

    from deepcache.caching.execution import Execution
    from deepcache.data.picture_prompts import PicturePrompts
    from deepcache.sampling.model import ImageModel


@dataclass(frozen=True)
class Request:
    """A loaded model, and how it is to sample.

    Attributes:
        model: makes the images.
        manifest: of its checkpoint.
        prompts: what it paints, with the manifest they come from; None where it takes none.
        sampler: with which.
        method: how its U-Net is cached.
        caching: the same in its place: full steps, and what is reused.
        seed: of the images' noise.
        device: where it runs.
        precision: of weights and activations.
        execution: how the U-Net's passes run.
    """

    model: "ImageModel"
    manifest: dict[str, Any]
    prompts: "Prompts | None"
    sampler: Sampler
    method: Method
    caching: Caching
    seed: int
    device: "torch.device"
    precision: str
    execution: "Execution"

    def with_method(self, method: Method, plan: Path | None = None) -> "Request":
        """The same with another method; DeepCacheError if it does not fit the sampler."""
        caching = _in_place(method, self.model, self.sampler, self.manifest, plan)
        return replace(self, method=method, caching=caching)

    def painting(self, manifest: Path | None) -> "Request":
        """The same with the prompts of a manifest, around the same U-Net; itself where there is none.

        Raises:
            DeepCacheError: if the manifest is not one of prompts of the same kind, or the model takes none.
        """
        if manifest is None:
            return self
        if self.prompts is None:
            raise DeepCacheError(f"{manifest}: {self.manifest['name']} takes no prompts: leave it out")
        prompts = _read_prompts(manifest, self.prompts.negative)
        if type(prompts.items) is not type(self.prompts.items):
            raise DeepCacheError(
                f"{manifest}: of another kind than --prompts: give texts with texts, pictures with pictures"
            )
        return replace(self, model=self.model.painting(prompts.items), prompts=prompts)


@dataclass(frozen=True)
class Prompts:
    """What a text-to-image model paints, or an image-to-video model starts from.

    Attributes:
        items: texts or pictures; image j is made from item j, counted round where there are fewer.
        fingerprint: of the file that they come from.
        negative: what guidance leads away from; None: from no prompt.
    """

    items: "list[str] | PicturePrompts"
    fingerprint: str
    negative: str | None = None


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model samples, how and where: see `open_request`."""
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--sampler", default="ddim-100", help="such as ddim-100-quad, plms-50-cfg7.5")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, texts or pictures")
    parser.add_argument("--negative-prompt", metavar="TEXT", help="what guidance leads away from, for text-to-image")
    cli.add_device_options(parser)


def add_method_options(parser: argparse.ArgumentParser, default: str = "full") -> None:
    """Add the options that say how the U-Net is cached."""
    parser.add_argument("--method", default=default, help="such as full, uniform-n5-b2, chosen-n5-b2")
    parser.add_argument("--plan", type=Path, metavar="JSON", help="what calibrate.py wrote, for a chosen schedule")


def open_request(arguments: argparse.Namespace, method: Method | None = None) -> Request:
    """Load what the options name; where a program has none for method, plan, seed, execution: full, none, 0, eager.

    Args:
        arguments: the parsed options.
        method: instead of the options'.

    Raises:
        DeepCacheError: if one of them is wrong or does not go with another.
    """
    import torch

    from deepcache.caching.execution import execution_of
    from deepcache.devices import choose_device
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.sampling.families import load_model

    sampler = Sampler.parse(arguments.sampler)
    plan = None if method else getattr(arguments, "plan", None)  # a given method's plan is its program's affair
    method = method or Method.parse(getattr(arguments, "method", "full"))
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    folder, manifest = open_checkpoint(arguments.checkpoint)
    negative = getattr(arguments, "negative_prompt", None)
    if negative is not None and sampler.guidance_scale <= 1:
        raise DeepCacheError(f"--negative-prompt: {sampler.slug} is without guidance, and so without it: leave it out")
    prompts = _read_prompts(arguments.prompts, negative) if arguments.prompts else None
    model = load_model(folder, device, arguments.precision, prompts and prompts.items, negative)
    caching = _in_place(method, model, sampler, manifest, plan)
    seed = getattr(arguments, "seed", 0)
    execution = execution_of(getattr(arguments, "execution", "eager"))
    return Request(model, manifest, prompts, sampler, method, caching, seed, device, arguments.precision, execution)


def _read_prompts(manifest: Path, negative: str | None) -> Prompts:
    from deepcache.data.manifests import open_manifest, prompts_of

    opened = open_manifest(manifest)
    return Prompts(prompts_of(opened), opened["fingerprint"], negative)


def _in_place(
    method: Method, model: "ImageModel", sampler: Sampler, manifest: dict[str, Any], plan: Path | None
) -> Caching:
    return method.resolve(Place(model.schedule_length(sampler), method.branch, sampler.slug, manifest, plan))
