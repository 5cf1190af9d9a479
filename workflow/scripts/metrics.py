"""Measure a run's samples against reference statistics.

Writes FID, sFID, Inception score, precision and recall (in percent), KID, and FID as clean-fid computes it. A metric
that is undefined, as with too few images, is null, and `undefined` says why. --features keeps the pooled features, from
which paired.py goes on without the images.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Stream the samples' features and write the metrics with the number of samples they rest on."""
    import torch

    from deepcache.data.datasets import batches
    from deepcache.devices import choose_device
    from deepcache.files import write_json
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.quality.extractors import extract
    from deepcache.quality.image_sets import run_images
    from deepcache.quality.references import open_reference
    from deepcache.quality.run_features import RunFeatures, noting_pooled
    from deepcache.quality.run_metrics import FEATURES, run_metrics
    from deepcache.sampling.shards import read_sidecar

    torch.set_num_threads(arguments.threads)
    run = read_sidecar(arguments.run)
    reference, folder = open_reference(arguments.reference, arguments.extractor, arguments.weights)
    device = choose_device(arguments.device)
    images = run_images(arguments.run, reference.about["image_size"])
    images = progress(images, "features", unit="image", total=run["images"])
    features = extract(batches(images, arguments.batch_size), arguments.extractor, folder, device, FEATURES)
    pooled = []
    metrics, undefined = run_metrics(noting_pooled(features, pooled), reference, device)
    if arguments.features is not None:
        RunFeatures.of(pooled, str(arguments.run), reference).save(arguments.features)
    write_json(
        arguments.output,
        {
            **metrics,
            "images": run["images"],
            "references": len(reference.features),
            "reference": reference.about,
            "run": str(arguments.run),
            "settings_hash": run["settings_hash"],
            **provenance(device, measured_exactly=True),
            "undefined": undefined,
        },
    )


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
    parser.add_argument("--features", type=Path, metavar="NPZ", help="also write the pooled features there")
    parser.add_argument("--batch-size", type=cli.positive, default=64, help="images at a time")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
