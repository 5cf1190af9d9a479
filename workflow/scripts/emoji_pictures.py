"""Draw the emoji that ship in resources/emoji anew, from packages of icons: the same bytes.

PACKAGES holds the npm packages @iconify-json/fluent-emoji-flat, noto and twemoji, each unpacked in a folder of that
name. Needs resvg-py.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Draw and write."""
    from deepcache.data.emoji_rendering import render, write_emoji
    from deepcache.progress import progress

    with progress(None, "emoji", unit="picture") as bar:
        emoji, notice = render(arguments.packages, bar.update)
    write_emoji(emoji, notice, arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--packages", required=True, type=Path, metavar="DIR", help="of the unpacked packages")
    parser.add_argument(
        "--output", required=True, type=cli.output_folder, metavar="DIR", help="such as resources/emoji"
    )
    cli.run(main, parser)
