"""Compute the reference statistics that samples are measured against."""

import hashlib
from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Load the reference images, extract features, write mean, covariance and features."""
    import torch

    from deepcache.data.digits import load_digits
    from deepcache.devices import choose_device
    from deepcache.metrics.extractors import extract_features
    from deepcache.metrics.statistics import Statistics
    from deepcache.models.checkpoints import open_checkpoint

    torch.set_num_threads(arguments.threads)
    folder, manifest = open_checkpoint(arguments.extractor)
    images = load_digits(arguments.image_size)[0].permute(0, 2, 3, 1).numpy()
    about = {
        "dataset": arguments.dataset,
        "images": len(images),
        "image_size": arguments.image_size,
        "content_sha256": hashlib.sha256(images.tobytes()).hexdigest(),
        "extractor": manifest["name"],
        "extractor_sha256": manifest["sha256"],
    }
    features = extract_features(images, manifest["name"], folder, choose_device(arguments.device))
    Statistics.of(features, about).save(arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--extractor", required=True, type=Path, metavar="JSON", help="manifest of the extractor")
    parser.add_argument("--dataset", choices=["digits"], default="digits", help="reference images")
    parser.add_argument("--image-size", type=cli.positive, default=16, help="side of the images in pixels")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="NPZ")
    cli.run(main, parser)
