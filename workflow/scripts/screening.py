"""One round of a search: compare its candidates on the same few images, and say which of them go on."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read every candidate's score, rank, write who is kept."""
    from deepcache.files import write_json
    from deepcache.results.screening import screen

    found = screen(arguments.scores, arguments.by, arguments.images, arguments.keep)
    write_json(arguments.output, found)
    print(f"{arguments.output}: {len(found['kept'])} of {len(found['scores'])} go on: {', '.join(found['kept'])}")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--scores",
        required=True,
        type=Path,
        nargs="+",
        metavar="JSON",
        help="of each candidate, its metrics",
    )
    parser.add_argument("--by", required=True, choices=["fid", "clip_score"], help="what decides")
    parser.add_argument("--images", required=True, type=cli.positive, help="of how many images each must be")
    parser.add_argument("--keep", required=True, type=cli.positive, help="how many candidates go on")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
