"""Compute the reference statistics that samples are measured against.

Moments of the features, and the features of some images, are streamed; where the program is stopped, the next attempt
goes on from the state that it left in --partial.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Open dataset and extractor, compute, write."""
    import torch

    from deepcache.data.manifests import open_dataset, open_manifest
    from deepcache.devices import choose_device
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.quality.extractors import load_extractor
    from deepcache.quality.partial import Partial
    from deepcache.quality.references import compute_statistics
    from deepcache.quality.statistics import KINDS

    torch.set_num_threads(arguments.threads)
    dataset = open_manifest(arguments.dataset)
    images = open_dataset(dataset, arguments.image_size, arguments.images)
    folder, weights = open_checkpoint(arguments.weights)
    device = choose_device(arguments.device)
    about = {
        "dataset": dataset["name"],
        "fingerprint": dataset["fingerprint"],
        "images": arguments.images or len(images),
        "crop": arguments.crop,
        "image_size": arguments.image_size,
        "extractor": arguments.extractor,
        "extractor_sha256": weights["sha256"],
        "features": arguments.features,
    }
    key = {**about, "kinds": list(KINDS), "batch_size": arguments.batch_size}
    partial = Partial(arguments.partial, key, arguments.save_every)
    features = load_extractor(arguments.extractor, folder, device, tuple(KINDS))
    compute_statistics(images, features, about, partial, arguments.batch_size).save(arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--dataset", required=True, type=Path, metavar="JSON", help="the dataset's manifest")
    parser.add_argument(
        "--extractor", required=True, metavar="KIND", help="digits-classifier, inception-adm or inception-pytorch-fid"
    )
    parser.add_argument(
        "--weights", required=True, type=Path, metavar="JSON", help="manifest of the extractor's weights"
    )
    parser.add_argument("--image-size", required=True, type=cli.positive, metavar="S", help="side in pixels")
    parser.add_argument("--crop", choices=["none", "center", "whole"], default="none", help="how they get there")
    parser.add_argument("--images", type=cli.positive, metavar="N", help="use the first N (default: all)")
    parser.add_argument(
        "--features", type=cli.positive, default=10_000, metavar="K", help="keep the features of the first K images"
    )
    parser.add_argument(
        "--partial", required=True, type=cli.output_file(), metavar="FILE", help="state of an unfinished computation"
    )
    parser.add_argument(
        "--save-every", type=cli.number, default=30, metavar="SECONDS", help="how often to write the state"
    )
    parser.add_argument("--batch-size", type=cli.positive, default=64, help="images at a time")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(".npz"), metavar="NPZ")
    cli.run(main, parser)
