"""A table for reading."""

import pandas as pd

RANDOM_WEIGHTS = (
    "The weights are random: whatever depends on the samples means nothing here. MACs and times are those of the "
    "architecture at this size."
)
PUBLISHED_WINDOW = (
    "`_from` and `_to`: the published window; `_within`: whether ours lies in it, empty if it is of another number of "
    "images. "
)
ORIGIN = ["images", "seeds", "device", "weights", "undefined", "runs"]
ENDS = ("_low", "_high")


def to_markdown(table: pd.DataFrame, layout: dict) -> str:
    """Title, note, rounded cells with their intervals in brackets, changes apart, and where the numbers come from."""
    shown = table.drop(columns=ORIGIN)
    changes = [name for name in shown if name.endswith("_change")]
    text = _text(shown, [name for name in shown if name not in changes and not name.endswith(ENDS)])
    made = table.dropna(subset=["runs"])
    origin = (
        f"{_range(made['images'])} images in each run, seeds: {_range(made['seeds'])}, "
        f"device: {'; '.join(sorted(set(made['device'])))}. "
    )
    if any(name.endswith("_within") for name in shown):
        origin += PUBLISHED_WINDOW
    if any(name.endswith("_delta") for name in shown):
        origin += "`_paper`: as published; `_delta`: ours minus published. "
    if any(name.endswith(ENDS) for name in shown):
        origin += (
            "In brackets: 95 % intervals over seeds; with one seed, over images. `_change`: difference to the same "
            "model and sampler without caching, paired by seed; with one seed, by noise; of a CLIP score to what the "
            "row's speed is measured against. "
        )
    origin += "The CSV names the sidecar of every run."
    undefined = sorted({reason for one in table["undefined"].dropna() for reason in one.split("; ")})
    parts = [
        f"# {layout['title']}",
        *([f"**{RANDOM_WEIGHTS}**"] if "random" in set("; ".join(made["weights"]).split("; ")) else []),
        layout["note"],
        text,
        *([_text(table[table[changes].notna().any(axis=1)], [*_labels(layout), *changes])] if changes else []),
        *([f"Undefined: {'; '.join(undefined)}."] if undefined else []),
        origin,
    ]
    return "\n\n".join(parts) + "\n"


def _labels(layout: dict) -> list[str]:
    return list(dict.fromkeys(label for row in layout["rows"] for label in row["labels"]))


def _text(table: pd.DataFrame, names: list[str]) -> str:
    cells = pd.DataFrame({name: _cells(table, name) for name in names})
    return cells.to_markdown(index=False, disable_numparse=True)


def _cells(table: pd.DataFrame, name: str) -> list[str]:
    """A column's cells, with the interval in brackets where there is one."""
    cells = [_readable(value) for value in table[name]]
    if f"{name}_low" not in table:
        return cells
    ends = zip(table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return [
        cell if pd.isna(low) else f"{cell} [{_readable(low)}, {_readable(high)}]"
        for cell, (low, high) in zip(cells, ends, strict=True)
    ]


def _range(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _readable(value) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)
