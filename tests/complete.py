"""Exit with the names of what a whole suite should have left and has not: complete.py results/digits."""

import sys
from pathlib import Path

TABLES = [
    *(f"table{number:02d}" for number in range(1, 15)),
    *("ablation_schedulers", "ablation_branches", "diversity", "emoji"),
]
PICTURES = [
    *("table1_samples", "table2_samples", "table5_samples", "emoji_samples"),
    *("fig2", "fig4", "fig5", "fig6", "fig7"),
]
FILES = [
    *(f"tables/{name}.{end}" for name in TABLES for end in ("csv", "md")),
    *(f"figures/{name}.png" for name in (*PICTURES, "ablations", "diversity")),
    *(f"{name}.{end}" for name in ("summary", "paper_against_ours", "../macs/paper_models") for end in ("csv", "md")),
    "report.html",
]

if __name__ == "__main__":
    files = [Path(sys.argv[1], name) for name in FILES]
    missing = [str(file) for file in files if not (file.is_file() and file.stat().st_size)]
    sys.exit(f"missing or empty: {', '.join(missing)}" if missing else 0)
