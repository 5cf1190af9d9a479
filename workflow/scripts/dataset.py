"""Get a dataset, check it, and write the manifest through which every later step opens it.

A bundled or local dataset lies in --folder already (the digits come with scikit-learn); one from a URL is downloaded,
and a random one written, below --downloads.
"""

from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError

NEEDED = {"local": ("folder",), "url": ("url",), "random": ("images", "image_size")}


def main(arguments) -> None:
    """Fetch, check and write."""
    from deepcache.data.manifests import write_manifest

    try:
        found = _fetch(arguments)
        write_manifest(
            arguments.output,
            arguments.name,
            arguments.format,
            found.path,
            arguments.source,
            found.origin,
            arguments.licence,
        )
    except DeepCacheError as error:
        raise DeepCacheError(f"datasets.{arguments.name}: {error}") from error


def _fetch(arguments):
    from deepcache.data.dataset_sources import Fetched, from_seed, from_url, in_place

    for name in NEEDED.get(arguments.source, ()):
        if getattr(arguments, name) is None:
            raise DeepCacheError(f"--source {arguments.source} needs --{name.replace('_', '-')}")
    if arguments.member is not None and not arguments.unpack:
        raise DeepCacheError("--member is a path inside an archive: it needs --unpack")
    digests = cli.pairs("--sha256", arguments.sha256)
    below = arguments.downloads / arguments.name
    if arguments.source == "url":
        return from_url(below, arguments.url, digests, arguments.unpack, arguments.member)
    if arguments.source == "random":
        return from_seed(below, arguments.format, arguments.images, arguments.image_size, arguments.seed)
    if arguments.format == "digits":
        return Fetched(None, {"package": "scikit-learn"})
    if arguments.folder is None:
        raise DeepCacheError(f"--source {arguments.source} needs --folder")
    return in_place(arguments.folder, digests)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--name", required=True, help="the dataset's name in the config")
    parser.add_argument(
        "--format",
        required=True,
        choices=["digits", "emoji", "folder", "cifar10", "lmdb", "npz", "partiprompts", "coco", "captions", "text"],
        help="images: digits (bundled), emoji (as resources/emoji), folder (of image files), cifar10, lmdb (LSUN), npz "
        "(ADM); prompts: the others",
    )
    parser.add_argument("--source", required=True, choices=["bundled", "local", "url", "random"])
    parser.add_argument("--folder", type=Path, metavar="PATH", help="bundled, local: the folder or file")
    parser.add_argument("--url", help="url: address of the file")
    parser.add_argument("--sha256", nargs="*", default=[], metavar="NAME=DIGEST", help="expected checksums")
    parser.add_argument("--unpack", action="store_true", help="url: the file is a .zip, .tar, .tar.gz or .tgz archive")
    parser.add_argument("--member", metavar="PATH", help="url: where the dataset lies inside the archive")
    parser.add_argument("--licence", help="under which it may be used; recorded in the manifest")
    parser.add_argument("--images", type=cli.positive, metavar="N", help="random: number of images")
    parser.add_argument("--image-size", type=cli.positive, metavar="S", help="random: side of the images in pixels")
    parser.add_argument("--seed", type=cli.natural, default=0, help="random: seed of the images")
    parser.add_argument("--downloads", required=True, type=Path, metavar="DIR", help="where downloads are put")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
