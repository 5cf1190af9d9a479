"""Curves out of tables: ours above, the paper's below, where it has any."""

from collections.abc import Sequence

import pandas as pd

from deepcache.figures.marks import Mark, place_marks
from deepcache.figures.style import add_legend, plt, set_title

MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", "-.", ":")
_LABELLED = {"type": "object", "required": ["label"]}
# What a picture's layout must hold, as JSON schema; a suite's config says it under `curves`.
LAYOUT = {
    "type": "object",
    "required": ["title", "panels", "x", "y", "series"],
    "properties": {
        "panels": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["title", "table"]}},
        "x": {**_LABELLED, "required": ["column", "label"]},
        "y": _LABELLED,
        "series": {"type": "array", "minItems": 1, "items": {**_LABELLED, "required": ["label", "y"]}},
    },
}


def draw_curves(title: str, panels: Sequence[tuple[str, str, pd.DataFrame]], x: dict, y: dict, series: Sequence[dict]):
    """Draw a column of two panels for each table: our values above, the published ones below.

    Where no table has published values of `x`, ours stand alone.

    Args:
        title: above the picture.
        panels: for each column what our values and what the paper's were measured on, and the table.
        x: `column` and `label` of the horizontal axis.
        y: `label` of the vertical axis.
        series: each with its `label`, the column `y`, the rows `where` (column -> value), drawn in their order,
            and the column `mark` whose value stands at each point.

    Returns:
        The figure. Bars are the intervals of our change against the baseline (`<y>_change_low` and `_high`), where the
        table has them. A panel without a value says so.
    """
    published = any(f"{x['column']}_paper" in table for _, _, table in panels)
    marks = {}
    size = (4.6 * len(panels), 6.6 if published else 3.6)
    figure, axes = plt.subplots(1 + published, len(panels), figsize=size, squeeze=False, layout="constrained")
    for column, (ours, paper, table) in enumerate(panels):
        rows = ((f"ours: {ours}", ""), (f"paper: {paper}", "_paper")) if published else ((ours, ""),)
        for row, (name, ending) in enumerate(rows):
            panel = axes[row, column]
            marks[panel] = []
            drawn = [_draw(panel, table, x["column"], one, ending, i, marks[panel]) for i, one in enumerate(series)]
            panel.set(title=name, xlabel=x["label"], ylabel=y["label"])
            panel.margins(0.12)
            panel.grid(color="0.9")
            if not any(drawn):
                panel.set(xticks=[], yticks=[])
                panel.text(0.5, 0.5, "no values", transform=panel.transAxes, ha="center")
    if lines := {line.get_label(): line for panel in axes.flat for line in panel.containers}:
        add_legend(figure, lines)
    set_title(figure, title)
    figure.canvas.draw()  # lays it out: only now it is known which points lie near each other
    for panel, found in marks.items():
        place_marks(panel, found)
    return figure


def choose_rows(table: pd.DataFrame, where: dict) -> pd.DataFrame:
    """Rows of a table that have these values (column -> value)."""
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def _draw(panel, table: pd.DataFrame, x: str, series: dict, ending: str, number: int, marks: list[Mark]) -> bool:
    """Draw one curve, and add its marks to the list; whether there was anything to draw."""
    horizontal, vertical = f"{x}{ending}", f"{series['y']}{ending}"
    if horizontal not in table or vertical not in table:
        return False
    table = choose_rows(table, series.get("where", {})).dropna(subset=[horizontal, vertical])
    bars = [f"{vertical}_change{end}" for end in ("", "_low", "_high")]
    errors = None
    if all(bar in table for bar in bars):
        middle, low, high = (table[bar].astype(float) for bar in bars)
        errors = [(middle - low).fillna(0), (high - middle).fillna(0)]
    style = {"color": f"C{number}", "marker": MARKERS[number % 4], "linestyle": LINES[number % 4], "markersize": 4}
    panel.errorbar(
        table[horizontal], table[vertical], errors, label=series["label"], elinewidth=0.5, capsize=1.5, **style
    )
    for _, row in table.iterrows() if "mark" in series else ():
        marks.append(Mark(f"{row[series['mark']]:g}", row[horizontal], row[vertical], style["color"]))
    return len(table) > 0
