"""Measure a run's samples against reference statistics: FID and KID."""

import json
from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Extract the samples' features and write the metrics with the number of samples they rest on."""
    import torch

    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.metrics.extractors import extract_features
    from deepcache.metrics.fidelity import fid, kid
    from deepcache.metrics.statistics import Statistics
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.results.files import write_json
    from deepcache.sampling.shards import read_images

    torch.set_num_threads(arguments.threads)
    sidecar = json.loads(arguments.run.read_text())
    shards = [arguments.run.parent / "shards" / name for name in sidecar["shards"]]
    images, _ = read_images(shards, sidecar["images"])
    folder, manifest = open_checkpoint(arguments.extractor)
    reference = Statistics.load(arguments.reference)
    if reference.about["extractor_sha256"] != manifest["sha256"]:
        raise DeepCacheError(f"{arguments.reference} was made with another extractor than {arguments.extractor}")
    features = extract_features(images, manifest["name"], folder, choose_device(arguments.device))
    samples = Statistics.of(features, {})
    kid_mean, kid_sd = kid(samples, reference)
    write_json(
        arguments.output,
        {
            "fid": fid(samples, reference),
            "kid": kid_mean,
            "kid_sd": kid_sd,
            "images": len(images),
            "reference": reference.about,
            "run": str(arguments.run),
            "settings_hash": sidecar["settings_hash"],
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--run", required=True, type=Path, metavar="JSON", help="the run's sidecar, run.json")
    parser.add_argument("--reference", required=True, type=Path, metavar="NPZ", help="reference statistics")
    parser.add_argument("--extractor", required=True, type=Path, metavar="JSON", help="manifest of the extractor")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
