"""Measure a run's samples against reference statistics: FID and KID."""

import json
from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Stream the samples' features and write the metrics with the number of samples they rest on."""
    import torch

    from deepcache.data.datasets import batches
    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.metrics.extractors import extract
    from deepcache.metrics.fidelity import fid, kid
    from deepcache.metrics.statistics import Accumulator, Statistics
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.results.files import write_json

    torch.set_num_threads(arguments.threads)
    sidecar = json.loads(arguments.run.read_text())
    folder, weights = open_checkpoint(arguments.weights)
    reference = Statistics.load(arguments.reference)
    asked = {"extractor": arguments.extractor, "extractor_sha256": weights["sha256"]}
    if any(reference.about[key] != value for key, value in asked.items()):
        raise DeepCacheError(f"{arguments.reference} was not made with {arguments.extractor} of {arguments.weights}")
    side = reference.about["image_size"]
    images = progress(_images(arguments.run, sidecar, side), "features", unit="image", total=sidecar["images"])
    samples = Accumulator()
    device = choose_device(arguments.device)
    for features in extract(batches(images, arguments.batch_size), arguments.extractor, folder, device):
        samples.add(features)
    samples = samples.statistics({})
    kid_mean, kid_sd = kid(samples, reference)
    write_json(
        arguments.output,
        {
            "fid": fid(samples, reference),
            "kid": kid_mean,
            "kid_sd": kid_sd,
            "images": sidecar["images"],
            "reference": reference.about,
            "run": str(arguments.run),
            "settings_hash": sidecar["settings_hash"],
        },
    )


def _images(run: Path, sidecar: dict, side: int):
    """Yield the run's images, uint8, shape (side, side, C); one shard is in memory at a time."""
    from deepcache.errors import DeepCacheError
    from deepcache.sampling.shards import read_shard

    left = sidecar["images"]
    for name in sidecar["shards"]:
        path = run.parent / "shards" / name
        images, about = read_shard(path)
        if about["settings_hash"] != sidecar["settings_hash"]:
            raise DeepCacheError(f"{path} was made with other settings than {run} says: delete it and run again")
        if images.shape[1:3] != (side, side):
            height, width = images.shape[1:3]
            raise DeepCacheError(f"{path}: samples of {width}x{height} pixels, but the reference's images have {side}")
        yield from images[:left]
        left -= len(images[:left])
    if left:
        raise DeepCacheError(f"{run}: its shards hold {left} images fewer than it says: delete it and run again")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--run", required=True, type=Path, metavar="JSON", help="the run's sidecar, run.json")
    parser.add_argument("--reference", required=True, type=Path, metavar="NPZ", help="reference statistics")
    parser.add_argument(
        "--extractor", required=True, metavar="KIND", help="digits-classifier, inception-adm or inception-pytorch-fid"
    )
    parser.add_argument(
        "--weights", required=True, type=Path, metavar="JSON", help="manifest of the extractor's weights"
    )
    parser.add_argument("--batch-size", type=cli.positive, default=64, help="images at a time")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
