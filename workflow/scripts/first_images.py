"""Keep the first images of a run: a shard of their own, as pictures show them."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the shards that hold them, write the images with the settings that made them."""
    from deepcache.sampling.shards import read_images, write_shard

    images, about = read_images(arguments.shards, arguments.images)
    write_shard(arguments.output, images, about[0]["settings"], about[0]["made"])


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--shards", required=True, type=Path, nargs="+", metavar="NPZ", help="in order, from shard 0")
    parser.add_argument("--images", required=True, type=cli.positive, help="how many")
    parser.add_argument("--output", required=True, type=cli.output_file(".npz"), metavar="NPZ")
    cli.run(main, parser)
