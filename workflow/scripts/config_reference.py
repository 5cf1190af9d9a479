"""Write the reference of the config's keys, config/README.md, out of the schema."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the schema, write the page."""
    from deepcache.files import atomic
    from deepcache.suite.reference import Reference
    from deepcache.suite.schema import read_schema

    reference = Reference(read_schema(arguments.schema))
    with atomic(arguments.output) as temporary:
        temporary.write_text(reference.to_markdown(), encoding="utf-8")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--schema", type=Path, default=cli.ROOT / "config/schema.yaml", metavar="YAML")
    parser.add_argument("--output", type=cli.output_file(), default=cli.ROOT / "config/README.md", metavar="MD")
    cli.run(main, parser)
