"""Measure how near a run's images are to those of the same noises without caching: PSNR, SSIM and LPIPS.

Each metric comes with its mean, the 95 % interval of the mean over images, and its value for each image. PSNR is null
where the images are identical (it is infinite). Two folders of images are paired in the order of their names.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Go through both sets of images together and write the metrics."""
    import numpy as np
    import torch

    from deepcache.data.datasets import batches
    from deepcache.data.formats.folder import Folder
    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.quality.paired_fidelity import PairedFidelity, similarities, squared_errors
    from deepcache.quality.perceptual import load_perceptual
    from deepcache.runs.run import Run
    from deepcache.sampling.shards import read_run, read_sidecar

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    given = [arguments.run or arguments.images, arguments.baseline or arguments.baseline_images]
    if (arguments.run is None) != (arguments.baseline is None):
        raise DeepCacheError("give --run with --baseline, or --images with --baseline-images")
    if arguments.run is not None:
        runs = [Run.parse(path.absolute().parent) for path in given]
        differing = [key for key in ("model", "sampler", "seed") if getattr(runs[0], key) != getattr(runs[1], key)]
        if differing:
            raise DeepCacheError(f"{given[0]} and {given[1]} differ in {', '.join(differing)}: nothing to compare")
        counts = [read_sidecar(path)["images"] for path in given]
        sets = [(image for shard in read_run(path) for image in shard) for path in given]
    else:
        folders = [Folder(path) for path in given]
        counts, sets = list(map(len, folders)), [folder.read() for folder in folders]
    if counts[0] != counts[1]:
        raise DeepCacheError(f"{given[0]} holds {counts[0]} images, but {given[1]} {counts[1]}: they are not pairs")
    place = arguments.perceptual
    place, weights = (place, {"folder": str(place)}) if place.is_dir() else open_checkpoint(place)
    perceptual = load_perceptual(place, device)
    found = []
    with progress(None, "paired fidelity", unit="image", total=counts[0]) as bar:
        for a, b in zip(*(batches(images, arguments.batch_size) for images in sets), strict=True):
            if a.shape != b.shape:
                shapes = ["x".join(map(str, images.shape[1:])) for images in (a, b)]
                raise DeepCacheError(f"{given[0]} holds images of {shapes[0]} (HxWxC), but {given[1]} of {shapes[1]}")
            found.append((squared_errors(a, b), similarities(a, b), perceptual.distances(a, b)))
            bar.update(len(a))
    fidelity = PairedFidelity(*map(np.concatenate, zip(*found, strict=True)))
    write_json(
        arguments.output,
        {
            **fidelity.summary(),
            "images": counts[0],
            "run": str(given[0]),
            "baseline": str(given[1]),
            "perceptual": {"kind": perceptual.kind, **weights},
            **provenance(device),
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
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
