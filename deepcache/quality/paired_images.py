"""Two sets of images whose image j came from the same noise, and how near they are to each other."""

from pathlib import Path

import numpy as np

from deepcache.data.datasets import batches
from deepcache.errors import DeepCacheError
from deepcache.progress import progress
from deepcache.quality.image_sets import ImageSet, open_folder, open_run
from deepcache.quality.numbered_names import check_paired
from deepcache.quality.paired_fidelity import PairedFidelity, similarities, squared_errors
from deepcache.quality.perceptual import Perceptual
from deepcache.runs.run import Run


def open_paired_runs(path: Path, baseline: Path) -> tuple[ImageSet, ImageSet]:
    """The images of two runs, by their sidecars run.json, that differ in their method alone.

    Raises:
        DeepCacheError: if they differ in model, sampler, seed or number of images, or as from `open_run`.
    """
    runs = [Run.parse(one.absolute().parent) for one in (path, baseline)]
    differing = [key for key in ("model", "sampler", "seed") if getattr(runs[0], key) != getattr(runs[1], key)]
    if differing:
        raise DeepCacheError(f"{path} and {baseline} differ in {', '.join(differing)}: nothing to compare")
    return _paired(open_run(path), open_run(baseline))


def open_paired_folders(path: Path, baseline: Path) -> tuple[ImageSet, ImageSet]:
    """The images of two folders, paired by their names, or by the numbers in them.

    Raises:
        DeepCacheError: if they hold different numbers of images, their names tell no order, or as from `open_folder`.
    """
    images, others = _paired(open_folder(path), open_folder(baseline))
    check_paired(path, images.names, baseline, others.names)
    return images, others


def measure_pairs(images: ImageSet, baseline: ImageSet, perceptual: Perceptual, batch_size: int = 32) -> PairedFidelity:
    """Go through both sets together: no more than a batch of each is in memory.

    Args:
        images: those that are judged.
        baseline: as many, to which they should be near.
        perceptual: the network of LPIPS.
        batch_size: pairs at a time.

    Raises:
        DeepCacheError: if the images differ in size.
    """
    found = []
    with progress(None, "paired fidelity", unit="image", total=images.count) as bar:
        for a, b in zip(*(batches(one.images, batch_size) for one in (images, baseline)), strict=True):
            if a.shape != b.shape:
                shapes = ["x".join(map(str, batch.shape[1:])) for batch in (a, b)]
                raise DeepCacheError(
                    f"{images.path} holds images of {shapes[0]} (HxWxC), but {baseline.path} of {shapes[1]}"
                )
            found.append((squared_errors(a, b), similarities(a, b), perceptual.distances(a, b)))
            bar.update(len(a))
    return PairedFidelity(*map(np.concatenate, zip(*found, strict=True)))


def _paired(images: ImageSet, baseline: ImageSet) -> tuple[ImageSet, ImageSet]:
    if images.count != baseline.count:
        raise DeepCacheError(
            f"{images.path} holds {images.count} images, but {baseline.path} {baseline.count}: they are not pairs"
        )
    return images, baseline
