"""How much caching changes FID, with its 95 % interval, for a run of one seed.

The interval comes from a bootstrap over images: the same ones are redrawn in both runs, whose images share their noise.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Extract the features of both runs and redraw the images of both together."""
    import numpy as np
    import torch

    from deepcache.data.datasets import batches
    from deepcache.devices import choose_device
    from deepcache.files import write_json
    from deepcache.quality.extractors import load_extractor
    from deepcache.quality.fidelity import fid
    from deepcache.quality.image_sets import run_images
    from deepcache.quality.intervals import paired_bootstrap
    from deepcache.quality.references import open_reference
    from deepcache.quality.statistics import Statistics

    torch.set_num_threads(arguments.threads)
    reference, folder = open_reference(arguments.reference, arguments.extractor, arguments.weights)
    extract = load_extractor(arguments.extractor, folder, choose_device(arguments.device))

    def features(run: Path) -> np.ndarray:
        images = run_images(run, reference.about["image_size"])
        return np.concatenate([extract(batch)["pool"] for batch in batches(images, arguments.batch_size)])

    change = paired_bootstrap(
        lambda redrawn: fid(Statistics.of(redrawn, {}), reference),
        features(arguments.run),
        features(arguments.baseline),
        arguments.resamples,
    )
    found = {"fid_change": change.value, "fid_change_low": change.low, "fid_change_high": change.high}
    write_json(arguments.output, {**found, "baseline": str(arguments.baseline), "resamples": arguments.resamples})


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--run", required=True, type=Path, metavar="JSON", help="the run's sidecar, run.json")
    parser.add_argument("--baseline", required=True, type=Path, metavar="JSON", help="the same without caching")
    parser.add_argument("--reference", required=True, type=Path, metavar="NPZ", help="reference statistics")
    parser.add_argument("--extractor", required=True, metavar="KIND", help="digits-classifier, inception-adm, ...")
    parser.add_argument("--weights", required=True, type=Path, metavar="JSON", help="manifest of its weights")
    parser.add_argument("--resamples", type=cli.positive, default=200, help="how often images are redrawn")
    parser.add_argument("--batch-size", type=cli.positive, default=64, help="images at a time")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
