"""Draw samples of several runs that started from the same noise.

One row for each run; or, with --prompts, one column for each, the prompts, texts or pictures, on the left.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the first images of each run and draw them."""
    from deepcache.data.manifests import read_prompts
    from deepcache.errors import DeepCacheError
    from deepcache.figures.samples import Samples, draw_columns, draw_rows
    from deepcache.figures.style import save
    from deepcache.json_values import read_object
    from deepcache.sampling.shards import read_images

    if len(arguments.labels) != len(arguments.shards):
        raise DeepCacheError(f"{len(arguments.shards)} runs but {len(arguments.labels)} labels")
    captions = [""] * len(arguments.shards)
    if arguments.timing is not None:
        timed = read_object(arguments.timing, ("variants",))["variants"]
        missing = [variant for variant in arguments.variants if variant not in timed]
        if missing or len(arguments.variants) != len(arguments.shards):
            raise DeepCacheError(f"{arguments.timing}: --variants must name what it timed, one for each run: {missing}")
        captions = [f"{1 / timed[variant]['throughput']:.3g} s/image" for variant in arguments.variants]
    methods = [
        Samples(label, read_images([shard], arguments.images)[0], caption)
        for label, shard, caption in zip(arguments.labels, arguments.shards, captions, strict=True)
    ]
    if arguments.prompts is None:
        figure = draw_rows(arguments.title, methods)
    else:
        prompts = read_prompts(arguments.prompts)
        shown = [prompts[image % len(prompts)] for image in range(arguments.images)]
        figure = draw_columns(arguments.title, methods, shown)
    save(figure, arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--shards", required=True, type=Path, nargs="+", metavar="NPZ", help="first.npz of each run")
    parser.add_argument("--labels", required=True, nargs="+", help="one for each run")
    parser.add_argument("--images", type=cli.positive, default=12, help="images of each run")
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts: a column for each run")
    parser.add_argument("--timing", type=Path, metavar="JSON", help="also write how long an image takes")
    parser.add_argument("--variants", nargs="*", default=[], help="of these, by run, as --timing names them")
    parser.add_argument("--title", default="")
    parser.add_argument("--output", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
