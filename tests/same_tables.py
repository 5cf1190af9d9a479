"""Compare the tables of two results folders to the last digit, times and memory apart: same_tables.py ONE OTHER."""

import re
import sys
from pathlib import Path

import pandas as pd

# What a clock or the allocator decides, and where and from which commit a number came.
VOLATILE = re.compile(
    r"(?:throughput|speed|seconds|peak|time|sampling_seconds|commit|versions|device|settings_hash|spread)"
)
PICKED = {"summary", "paper_against_ours"}  # made from the tables, with times among their rows


def stable(path: Path) -> pd.DataFrame:
    """A table without its volatile columns; of the pages made from all tables, without volatile rows."""
    table = pd.read_csv(path)
    if "verdict" in table:
        table = table[~table["column"].str.contains(VOLATILE)]
    return table[[column for column in table if not VOLATILE.search(column)]].reset_index(drop=True)


def main(one: Path, other: Path) -> int:
    """Print what differs; the number of files that do."""
    files = sorted({path.relative_to(root) for root in (one, other) for path in root.rglob("*.csv")})
    files = [path for path in files if path.parts[0] in ("tables", "macs") or path.stem in PICKED]
    differing = 0
    for path in files:
        if not ((one / path).exists() and (other / path).exists()):
            print(f"{path}: only in one of them")
            differing += 1
            continue
        try:
            pd.testing.assert_frame_equal(stable(one / path), stable(other / path), check_exact=True)
        except AssertionError as error:
            print(f"{path}: {' '.join(str(error).split())}")
            differing += 1
    print(f"{len(files) - differing} of {len(files)} tables are the same")
    return differing


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])) > 0)
