"""How much caching changes FID, with its 95 % interval, for a run of one seed.

The interval comes from a bootstrap over images: the same ones are redrawn in both runs, whose images share their noise.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the features of both runs and redraw the images of both together."""
    from deepcache.errors import DeepCacheError
    from deepcache.files import write_json
    from deepcache.quality.fidelity import fid_to
    from deepcache.quality.intervals import paired_bootstrap
    from deepcache.quality.run_features import RunFeatures, whose
    from deepcache.quality.statistics import Statistics

    reference = Statistics.load(arguments.reference)
    runs = [RunFeatures.load(path) for path in (arguments.run, arguments.baseline)]
    for path, run in zip((arguments.run, arguments.baseline), runs, strict=True):
        if not whose(reference).items() <= run.about.items():
            raise DeepCacheError(f"{path}: features of another extractor than those of {arguments.reference}")
    change = paired_bootstrap(fid_to(reference), *(run.pool for run in runs), arguments.resamples)
    found = {"fid_change": change.value, "fid_change_low": change.low, "fid_change_high": change.high}
    baseline = runs[1].about["run"]
    write_json(arguments.output, {**found, "baseline": baseline, "resamples": arguments.resamples})


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--run", required=True, type=Path, metavar="NPZ", help="the run's features, features.npz")
    parser.add_argument("--baseline", required=True, type=Path, metavar="NPZ", help="of the same without caching")
    parser.add_argument("--reference", required=True, type=Path, metavar="NPZ", help="reference statistics")
    parser.add_argument("--resamples", type=cli.positive, default=200, help="how often images are redrawn")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
