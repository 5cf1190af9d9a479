"""Record how similar a layer's features are between the steps of uncached sampling (Figure 2 of the paper)."""

from pathlib import Path

from deepcache import cli
from deepcache.runs.sampler import Sampler


def main(arguments) -> None:
    """Sample a few images, one after the other, and compare the features of all steps."""
    import json

    import numpy as np
    import torch

    from deepcache.data.manifests import read_prompts
    from deepcache.devices import choose_device
    from deepcache.files import atomic
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.quality.feature_similarity import FeatureSimilarity
    from deepcache.sampling.families import load_model

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    folder, manifest = open_checkpoint(arguments.checkpoint)
    prompts = None if arguments.prompts is None else read_prompts(arguments.prompts)
    model, sampler = load_model(folder, device, arguments.precision, prompts), Sampler.parse(arguments.sampler)
    similarity = FeatureSimilarity()
    total = arguments.images * model.num_steps(sampler)
    with progress(None, f"{manifest['name']} {arguments.layer}", unit="step", total=total) as bar:
        for image in range(arguments.images):  # one at a time: the features of all its steps are in memory
            with similarity.recording(model.unet, arguments.layer):
                model.sample([image], arguments.seed, sampler, lambda step: bar.update())
    about = {
        "checkpoint": manifest["name"],
        "weights": manifest["source"],
        "sampler": sampler.slug,
        "layer": arguments.layer,
        "images": arguments.images,
        "seed": arguments.seed,
        **provenance(device),
    }
    with atomic(arguments.output) as temporary:
        np.savez_compressed(
            temporary, matrix=similarity.matrix(), maps=similarity.maps, about=np.array(json.dumps(about))
        )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--sampler", required=True, help="such as ddim-100 or plms-50-cfg7.5")
    parser.add_argument("--layer", default="up_blocks.2", help="a layer's name in the U-Net")
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, for text-to-image")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--images", type=cli.positive, default=4, help="trajectories")
    parser.add_argument("--seed", type=int, default=0)
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="NPZ")
    cli.run(main, parser)
