"""Count the MACs of the paper's models and compare them with Tables 1, 2, 3 and 12.

Every number of ours is counted from the architecture; no weights are needed. Writes a CSV file, and a Markdown table
beside it.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Count every cell, then write both files."""
    import torch

    from deepcache.files import atomic
    from deepcache.results.paper_macs import compare_macs, macs_csv, macs_markdown
    from deepcache.results.published_macs import published_cells

    torch.set_num_threads(1)  # nothing is computed but shapes
    rows = compare_macs(published_cells(arguments.published))
    for path, text in (
        (arguments.output, macs_csv(rows)),
        (arguments.output.with_suffix(".md"), macs_markdown(rows)),
    ):
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--published", type=Path, default=Path("config/published"), metavar="DIR", help="the paper's tables, CSV"
    )
    parser.add_argument(
        "--output",
        type=cli.output_file(".csv"),
        default=Path("results/macs/paper_models.csv"),
        metavar="CSV",
        help="the comparison; a Markdown table goes beside it",
    )
    cli.run(main, parser)
