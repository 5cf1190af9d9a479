"""Verify a checkpoint's SHA-256 and write its manifest, through which every later step opens it."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Check and write."""
    from deepcache.models.checkpoints import write_manifest

    expected = dict(pair.split("=", 1) for pair in arguments.sha256)
    write_manifest(arguments.output, arguments.name, arguments.folder, arguments.source, expected)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--name", required=True, help="the checkpoint's name in the config")
    parser.add_argument("--folder", required=True, type=Path, metavar="DIR", help="where the checkpoint lies")
    parser.add_argument("--source", required=True, choices=["shipped", "train"], help="where it comes from")
    parser.add_argument("--sha256", nargs="*", default=[], metavar="FILE=DIGEST", help="expected checksums")
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
