"""How programs that compare images are told what to compare them by."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name what is compared and by what: see `Comparison.load`."""
    parser.add_argument("--name", required=True, metavar="MODEL", help="what the tables call the model")
    parser.add_argument(
        "--calibration-prompts", type=Path, metavar="JSON", help="to pick settings on; default: --prompts"
    )
    parser.add_argument("--seeds", type=cli.natural, nargs="+", default=[0, 1, 2, 3, 4], help="of the images' noise")
    parser.add_argument("--images", type=cli.positive, default=32, help="of each seed, in one batch")
    parser.add_argument("--reference", type=Path, metavar="NPZ", help="reference statistics, for FID")
    parser.add_argument("--extractor", metavar="KIND", help="kind of the reference's features")
    parser.add_argument("--extractor-weights", type=Path, metavar="JSON", help="manifest of the extractor's weights")
    parser.add_argument("--clip", type=Path, metavar="JSON", help="manifest of the CLIP model, for the CLIP score")


def check_seeds(seeds: Sequence[int], picked_on: int) -> None:
    """DeepCacheError if settings are picked on noises of one of the seeds of what is compared."""
    both = sorted({picked_on, picked_on + 1} & set(seeds))
    if both:
        raise DeepCacheError(f"--seeds: settings are picked on noises of {both[0]}: what is compared needs others")
