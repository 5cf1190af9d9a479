"""Draw samples of several runs, one row each, the same noise in each column."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the first images of each run and draw them."""
    from deepcache.errors import DeepCacheError
    from deepcache.figures.samples import draw_sample_grid
    from deepcache.figures.style import save
    from deepcache.sampling.shards import read_images

    if len(arguments.labels) != len(arguments.shards):
        raise DeepCacheError(f"{len(arguments.shards)} runs but {len(arguments.labels)} labels")
    rows = [
        (label, read_images([shard], arguments.images)[0])
        for label, shard in zip(arguments.labels, arguments.shards, strict=True)
    ]
    save(draw_sample_grid(arguments.title, rows), arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--shards", required=True, type=Path, nargs="+", metavar="NPZ", help="first shard of each run")
    parser.add_argument("--labels", required=True, nargs="+", help="one for each run")
    parser.add_argument("--images", type=cli.positive, default=12, help="images in a row")
    parser.add_argument("--title", default="")
    parser.add_argument("--output", required=True, type=Path, metavar="PNG")
    cli.run(main, parser)
