"""What stands beside each item of the report: what it was measured on, and the paper's values against ours.

Snakemake reads captions as reStructuredText when it makes the report, so they may hold numbers.
"""

import re
from collections.abc import Iterable

import pandas as pd

from deepcache.suite.layout import RESULT_FILES, layout_runs

ORDER = "the paper, ours, ours minus the paper's"


def caption(sentences: list[str], items: list[str] | None = None) -> str:
    """Sentences and a list under them as reStructuredText, in which Jinja finds nothing to replace."""
    text = "\n".join([" ".join(sentences), "", *(f"- {one}" for one in items or [])])
    return "{% raw %}" + re.sub(r"([\\*_`|])", r"\\\1", text) + "{% endraw %}\n"


def table_caption(table: pd.DataFrame, layout: dict, suite: dict) -> str:
    """Of a table of the suite, see `about_table` and `compared`.

    Args:
        table: as deepcache.results.tables.build_table made it.
        layout: the table's.
        suite: the config.
    """
    sentences, items = _measured_and_compared(table, layout, suite)
    return caption(sentences, items)


def samples_caption(grid: dict, table: pd.DataFrame, layout: dict, suite: dict) -> str:
    """Of a picture of samples: which ones it shows, and how the table to which they belong compares."""
    sentences, items = _measured_and_compared(table, layout, suite)
    start = f"The first {grid['images']} images of each run's first seed; the runs are those of {_short(layout)}."
    return caption([start, *sentences], items)


def real_caption(suite: dict, model: str) -> str:
    """Of the picture of a model's samples beside real ones."""
    shown = suite["real_pictures"]["images"]
    sentence = f"The first {shown} samples of {model} without caching, each beside the real picture of its prompt."
    data = f"Data: {', '.join(_data(suite, model))}."
    return caption([sentence, "The number below each pair is the sample's score.", data])


def curves_caption(tables: list[tuple[pd.DataFrame, dict]], suite: dict) -> str:
    """Of columns of tables drawn against each other: what each table says.

    Args:
        tables: of each panel the table and its layout.
        suite: the config.
    """
    sentences, items = [], []
    for table, layout in tables:
        found, listed = _measured_and_compared(table, layout, suite)
        sentences += [f"{_short(layout)}:", *found]
        items += [f"{_short(layout)}, {one}" for one in listed]
    return caption(list(dict.fromkeys(sentences)), items)


def diversity_caption(table: pd.DataFrame, suite: dict) -> str:
    """Of what caching does to the difference between a prompt's images; the paper has no such table.

    Args:
        table: results/<suite>/tables/diversity.csv.
        suite: the config.
    """
    wanted = suite["diversity"]
    data = list(dict.fromkeys(one for model in wanted["models"] for one in _data(suite, model)))
    weights = sorted(set(table["weights"]))
    sentences = [
        f"Dataset: {'; '.join(data)}. {_listed(table['prompts'])} images for each seed.",
        f"Seeds: {', '.join(map(str, wanted['seeds']))}.",
        f"Device: {'; '.join(sorted(set(table['device'])))}. Weights: {'; '.join(weights)}.",
        "The paper has no such numbers.",
    ]
    return caption(sentences)


def verdicts_caption(cells: pd.DataFrame, runs: str) -> str:
    """Of the summary and of the paper against ours: how many of the paper's numbers have which verdict.

    Args:
        cells: results/<suite>/paper_against_ours.csv.
        runs: a sentence on all runs, see deepcache.report.records.all_runs.
    """
    counts = cells["verdict"].value_counts()
    items = [f"{verdict}: {count}" for verdict, count in counts.items()]
    return caption([runs, f"Of {len(cells)} numbers in the paper's tables:"], items)


def similarity_caption(recorded: list[dict]) -> str:
    """Of Figure 2.

    Args:
        recorded: what each file of features says of itself: checkpoint, layer, sampler, images, seed, device.
    """
    items = [
        f"{one['checkpoint']} ({one['weights']} weights), {one['sampler']}, {one['layer']}: {one['images']} images "
        f"from noise alone, no dataset; seed {one['seed']}; device: {one['device']}"
        for one in recorded
    ]
    return caption(["The paper's Figure 2 prints no numbers to compare with."], items)


def macs_caption(macs: pd.DataFrame, tolerance: float = 0.005) -> str:
    """Of the MACs of the paper's architectures.

    Args:
        macs: results/macs/paper_models.csv.
        tolerance: relative; cells within it count as equal.
    """
    close = (macs["rel_error"].abs() <= tolerance).sum()
    start = (
        "Counted from the architectures: no dataset, images, seeds or device are involved. "
        f"{close} of {len(macs)} cells are within {tolerance:.1%} of the paper's. The largest difference of each model "
        f"({ORDER}):"
    )
    worst = macs.loc[macs["rel_error"].abs().groupby(macs["model"], sort=False).idxmax()]
    items = [
        f"{row.model}, {row.method}: "
        f"{_against(row.macs_g_paper, row.macs_g, row.macs_g - row.macs_g_paper)} G MACs ({row.rel_error:+.2%})"
        for row in worst.itertuples()
    ]
    return caption([start], items)


def timing_caption(timed: dict, tables: list[tuple[pd.DataFrame, dict]], suite: dict) -> str:
    """Of a timing job.

    Args:
        timed: its JSON file.
        tables: those that show its times, with their layouts.
        suite: the config.
    """
    start = (
        f"{len(timed['variants'])} variants in turn, {timed['repeats']} times each after a warm-up, "
        f"{timed['batch_size']} images from noise at a time, no dataset; seed 0; device: {timed['device']}, "
        f"CPU threads: {timed['threads']}, passes: {timed['execution']}."
    )
    last = f"Times faster than without caching, or than what the table compares with ({ORDER}):"
    items = [f"{_short(layout)}, {one}" for table, layout in tables for one in compared(table, layout, "speed")]
    return caption([start, *_comparable(suite, []), last], items)


def about_table(table: pd.DataFrame, layout: dict, suite: dict) -> list[str]:
    """What is compared, dataset, images in each run, seeds, device, and whether the numbers may be compared."""
    made = table.dropna(subset=["runs"])
    runs = layout_runs(layout)
    data = list(dict.fromkeys(one for run in runs for one in _data(suite, run.model)))
    weights = sorted(set(made["weights"]))
    return [
        layout["note"],
        f"Dataset: {'; '.join(data)}.",
        f"Images in each run: {_listed(made['images'])}.",
        f"Seeds: {_listed(run.seed for run in runs)}.",
        f"Device: {'; '.join(sorted(set(made['device'])))}. Weights: {'; '.join(weights)}.",
        *_comparable(suite, weights),
    ]


def compared(table: pd.DataFrame, layout: dict, column: str) -> list[str]:
    """A line for each row in which a column has the paper's value and ours; none where the paper has no such column."""
    if f"{column}_delta" not in table:
        return []
    labels = list(dict.fromkeys(label for row in layout["rows"] for label in row["labels"]))
    rows = table.dropna(subset=[f"{column}_delta"]).to_dict("records")
    return [
        f"{_row_name(row, labels)}: {_against(row[f'{column}_paper'], row[column], row[f'{column}_delta'])}"
        for row in rows
    ]


def main_column(table: pd.DataFrame, layout: dict) -> str | None:
    """The first column that is measured on images and has the paper's values, or else the first that has them."""
    both = [one for one in layout["columns"] if table.get(f"{one['name']}_delta", pd.Series()).notna().any()]
    measured = [one for one in both if one.get("value") in RESULT_FILES]
    return next((one["name"] for one in (*measured, *both)), None)


def _measured_and_compared(table: pd.DataFrame, layout: dict, suite: dict) -> tuple[list[str], list[str]]:
    sentences, column = about_table(table, layout, suite), main_column(table, layout)
    if column is None:
        return [*sentences, "The paper has no such numbers."], []
    return [*sentences, f"{column} ({ORDER}):"], compared(table, layout, column)


def _comparable(suite: dict, weights: list[str]) -> list[str]:
    """Why the numbers are not to be compared with the paper's, if they are not."""
    if "random" in "; ".join(weights).split("; "):
        return ["Not comparable with the paper: the weights are random."]
    verdicts = suite["verdicts"]
    return [] if verdicts["comparable"] else [f"Not comparable with the paper: {verdicts['reason'].rstrip('.')}."]


def _data(suite: dict, model: str) -> list[str]:
    """The dataset that a model's samples are measured against, and its prompts."""
    entry, found = suite["models"][model], []
    if "reference" in entry:
        reference = suite["references"][entry["reference"]]
        found.append(f"{reference['dataset']} at {reference['image_size']} x {reference['image_size']} pixels")
    if "prompts" in entry:
        found.append(f"prompts of {entry['prompts']}")
    return found


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{one:.0f}" for one in sorted(set(numbers)))


def _short(layout: dict) -> str:
    """The name in a table's title, "Table 2"."""
    return layout["title"].partition(":")[0]


def _row_name(row: dict, labels: list[str]) -> str:
    shown = {label: row[label] for label in labels if not pd.isna(row[label])}
    return ", ".join(str(value) if isinstance(value, str) else f"{label} {value:g}" for label, value in shown.items())


def _against(paper: float, ours: float, difference: float) -> str:
    return f"{paper:.4g}, {ours:.4g}, {difference:+.4g}"
