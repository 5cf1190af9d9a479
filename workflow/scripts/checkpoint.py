"""Get a checkpoint, verify its checksum, and write the manifest through which every later step opens it.

A shipped, trained, random or local checkpoint lies in --folder already; one from the hub or from a URL is downloaded
there; one from a Python package lies in the package.
"""

from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError

NEEDED = {"hub": ("folder", "repository", "revision"), "url": ("folder", "url"), "package": ("package",)}
FOLDERS = ("shipped", "train", "random", "local")


def main(arguments) -> None:
    """Fetch, check and write."""
    from deepcache.models.checkpoint_sources import from_hub, from_package, from_url, in_place
    from deepcache.models.checkpoints import write_manifest

    for name in NEEDED.get(arguments.source, ("folder",)):
        if getattr(arguments, name) is None:
            raise DeepCacheError(f"--source {arguments.source} needs --{name}")
    expected = cli.pairs("--sha256", arguments.sha256)
    md5 = {name: f"md5:{digest}" for name, digest in cli.pairs("--md5", arguments.md5).items()}
    try:
        if arguments.source == "hub":
            found = from_hub(arguments.folder, arguments.repository, arguments.revision, arguments.include)
        elif arguments.source == "url":
            found = from_url(arguments.folder, arguments.url, expected | md5, arguments.convert)
        elif arguments.source == "package":
            found = from_package(arguments.package)
        else:
            found = in_place(arguments.folder)
    except DeepCacheError as error:
        raise DeepCacheError(f"checkpoints.{arguments.name}: {error}") from error
    if found.folder != arguments.folder and arguments.source == "url":
        expected = {}  # those of the file before its conversion, checked when it was downloaded
    write_manifest(
        arguments.output, arguments.name, found.folder, arguments.source, expected, found.origin, arguments.licence
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--name", required=True, help="the checkpoint's name in the config")
    parser.add_argument("--source", required=True, choices=[*FOLDERS, *NEEDED])
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where it lies, or is put; not of a package")
    parser.add_argument("--sha256", nargs="*", default=[], metavar="FILE=DIGEST", help="expected checksums")
    parser.add_argument("--md5", nargs="*", default=[], metavar="FILE=DIGEST", help="url: where there is no SHA-256")
    parser.add_argument("--licence", help="under which it may be used; recorded in the manifest")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="hub: the repository")
    parser.add_argument("--revision", metavar="COMMIT", help="hub: a commit; a branch is resolved once")
    parser.add_argument("--include", nargs="+", metavar="PATTERN", help="hub: only files that match one")
    parser.add_argument("--package", metavar="NAME/FOLDER", help="package: its name, and the folder in it")
    parser.add_argument("--url", help="url: address of the file")
    parser.add_argument("--convert", choices=["ldm", "ddpm"], help="url: from CompVis's LDM-4-G, or the original DDPM")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
