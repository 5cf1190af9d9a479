"""Measure how near a run's images are to those of the same noises without caching: PSNR, SSIM and LPIPS.

Each metric comes with its mean, the 95 % interval of the mean over images, and its value for each image. PSNR is null
where the images are identical (it is infinite). Two folders of images are paired by their names, or by the numbers in
them.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Go through both sets of images together and write the metrics."""
    import torch

    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_weights
    from deepcache.provenance import provenance
    from deepcache.quality.paired_images import measure_pairs, open_paired_folders, open_paired_runs
    from deepcache.quality.perceptual import load_perceptual

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    if (arguments.run is None) != (arguments.baseline is None):
        raise DeepCacheError("give --run with --baseline, or --images with --baseline-images")
    if arguments.run is not None:
        images, baseline = open_paired_runs(arguments.run, arguments.baseline)
    else:
        images, baseline = open_paired_folders(arguments.images, arguments.baseline_images)
    folder, weights = open_weights(arguments.perceptual)
    perceptual = load_perceptual(folder, device)
    fidelity = measure_pairs(images, baseline, perceptual, arguments.batch_size)
    write_json(
        arguments.output,
        {
            **fidelity.summary(),
            "images": images.count,
            "run": str(images.path),
            "baseline": str(baseline.path),
            "perceptual": {"kind": perceptual.kind, **weights},
            **provenance(device, measured_exactly=True),
            "per_image": fidelity.per_image(),
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    compared = parser.add_mutually_exclusive_group(required=True)
    compared.add_argument("--run", type=Path, metavar="JSON", help="the run's sidecar, run.json")
    compared.add_argument("--images", type=Path, metavar="DIR", help="or a folder of images, without loss (PNG)")
    baseline = parser.add_mutually_exclusive_group(required=True)
    baseline.add_argument("--baseline", type=Path, metavar="JSON", help="run.json of the same without caching")
    baseline.add_argument("--baseline-images", type=Path, metavar="DIR", help="or a folder of as many images")
    parser.add_argument(
        "--perceptual", required=True, type=Path, metavar="JSON", help="manifest or folder of AlexNet or the classifier"
    )
    parser.add_argument("--batch-size", type=cli.positive, default=32, help="images at a time")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
