"""The table in docs/support.md: `python -m tests.support.table` writes it anew."""

import re
import tempfile
from pathlib import Path

from deepcache import num_branches
from tests.support.rows import ROWS

PAGE = Path(__file__).resolve().parents[2] / "docs/support.md"
START, END = "<!-- python -m tests.support.table -->", "<!-- end -->"


def table() -> str:
    """A line for each pipeline."""
    lines = ["| | pipeline | U-Net | branches in the small one | |", "|---|---|---|---|---|"]
    for name, row in ROWS.items():
        with tempfile.TemporaryDirectory() as folder:
            pipe = row.make(Path(folder))
        kinds = f"`{type(pipe).__name__}` | `{type(pipe.unet).__name__}`"
        lines.append(f"| {name} | {kinds} | {num_branches(pipe.unet)} | {row.note} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the table of today in it."""
    pattern = f"{re.escape(START)}.*?{re.escape(END)}"
    return re.sub(pattern, lambda found: f"{START}\n{table()}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
