"""Say what a suite will cost before anything is started: images, MACs, hours, downloads and disk for each table.

`snakemake estimate --cores 1 --configfile config/paper.yaml` does so for a suite that is merged from several files.
"""

import sys

from deepcache import cli


def main(arguments) -> None:
    """Read the suite, look at its architectures, print the table."""
    from deepcache.cost.shapes import checkpoint_shape
    from deepcache.quality.extractors import pooled_width
    from deepcache.suite.config import validate
    from deepcache.suite.estimate import estimate, rates_in_words
    from deepcache.suite.reading import complete, located, read_config
    from deepcache.suite.sources import check_sources

    config = complete(read_config(sys.stdin if arguments.suite == "-" else arguments.suite), cli.ROOT)
    validate(config, cli.ROOT / "config/schema.yaml", cli.ROOT / "config/published")
    check_sources(config, cli.ROOT)
    if arguments.tflops is not None:
        config["estimate"]["tflops"] = arguments.tflops
    table = estimate(
        config,
        lambda name, branches: checkpoint_shape(name, located(config["checkpoints"][name], cli.ROOT), branches),
        pooled_width,
    )
    print(table.to_markdown(index=False, floatfmt=".3g", intfmt=","))
    print(
        f"\nSuite {config['suite']}. Hours: U-Net passes of the samples at {rates_in_words(config)} TFLOP/s "
        "(`estimate.tflops` in the config, or --tflops), without first stage, metrics and timing. Of a search by "
        "halving the most that there may be, whichever candidates are kept. Downloads of checkpoints are those of all "
        "weights in fp32. On the disk: `inputs_gb` of checkpoints and datasets, beside them samples and features, "
        "before compression: `kept_gb` with `keep_samples: true`, with `false` at most `temporary_gb` at a time, where "
        f"one job runs at a time; this suite has {str(config.get('keep_samples', True)).lower()}. `all` counts once "
        "what tables share."
    )
    if arguments.output is not None:
        from deepcache.files import atomic

        with atomic(arguments.output) as temporary:
            table.to_csv(temporary, index=False)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--suite", default=cli.ROOT / "config/config.yaml", metavar="YAML", help="the config; - for stdin"
    )
    parser.add_argument("--tflops", type=cli.positive_number, help="what the device sustains, for estimate.tflops")
    parser.add_argument("--output", type=cli.output_file(), metavar="CSV", help="also write the table there")
    cli.run(main, parser)
