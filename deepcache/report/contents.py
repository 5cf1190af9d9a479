"""What the report shows, and where: the workflow and the program that writes the pages both ask here.

Imports nothing heavy: the workflow reads it while it builds its graph.
"""

import re
from dataclasses import dataclass, field

TABLES, FIGURES, TIMING, PROVENANCE = "Tables", "Figures", "Timing", "Provenance"
BEYOND = "Beyond the paper"
SUMMARY = {
    "summary": "What was run, and how each table compares with the paper",
    "paper_against_ours": "Every number of the paper beside ours, with a verdict",
}
RECORDS = {
    "runs": "Every run: images, settings, device, commit, and the tables that it stands in",
    "checkpoints": "Where weights come from, with the SHA-256 of every file",
    "datasets": "Where images and prompts come from, with their fingerprints",
    "software": "Versions of Python and of the libraries",
    "settings": "The suite's config, complete",
}


@dataclass(frozen=True)
class Item:
    """One line in the report's lists.

    Attributes:
        name: of its page and of its caption, without ending; of a figure also that of its picture.
        category: `Tables`, `Figures`, `Timing` or `Provenance`.
        labels: column -> text of the line, by which the list is sorted.
        subcategory: None where the category has no parts.
    """

    name: str
    category: str
    labels: dict[str, str] = field(hash=False)
    subcategory: str | None = None


def contents(suite: dict, layouts: dict[str, dict]) -> list[Item]:
    """Everything that the report of a suite shows.

    Args:
        suite: the checked config.
        layouts: of all its tables, see deepcache.suite.layout.table_layouts.
    """
    tables = [
        Item(name, TABLES, _named("table", layout["title"]), _part(name, "table", BEYOND))
        for name, layout in layouts.items()
    ]
    tables.append(Item("diversity", TABLES, {"table": "Diversity", "title": suite["diversity"]["title"]}, BEYOND))
    summary = [
        Item(name, TABLES, {"table": name.replace("_", " "), "title": shows}, "Summary")
        for name, shows in SUMMARY.items()
    ]
    macs = {"table": "MACs", "title": "MACs of the paper's own architectures against Tables 1, 2, 3 and 12"}
    titles = {
        "fig2": suite["similarity"]["title"],
        "fig4": "MACs of a full pass and of the shallow pass of each branch",
    }
    titles |= {name: one["title"] for name, one in (*suite["sample_grids"].items(), *suite["curves"].items())}
    titles |= {f"real_{model}": f"{model} beside real pictures" for model in real_models(suite)}
    titles["diversity"] = suite["diversity"]["title"]
    figures = [
        Item(name, FIGURES, {"figure": _readable(name), "title": title}, _part(name, "fig", BEYOND))
        for name, title in titles.items()
    ]
    groups: dict[str, list[str]] = {}
    for layout in layouts.values():
        if "group" in layout["timing"]:
            groups.setdefault(layout["timing"]["group"], []).append(layout["title"].partition(":")[0])
    timing = [
        Item(f"timing-{group}", TIMING, {"models": group, "tables": ", ".join(timed)})
        for group, timed in groups.items()
    ]
    records = [Item(name, PROVENANCE, {"record": name, "title": shows}) for name, shows in RECORDS.items()]
    return [*summary, *tables, Item("paper_models", TABLES, macs, "MACs"), *figures, *timing, *records]


def real_models(suite: dict) -> list[str]:
    """Models whose samples are drawn beside real pictures."""
    return suite.get("real_pictures", {"models": []})["models"]


def _part(name: str, printed: str, other: str) -> str:
    """The subcategory: what the paper prints under that name, or the other one."""
    return "The paper's" if re.fullmatch(rf"{printed}\d+", name) else other


def _named(column: str, title: str) -> dict[str, str]:
    """Two columns of a title such as "Table 2: unconditional DDPM"."""
    name, _, rest = title.partition(": ")
    return {column: _padded(name), "title": rest}


def _readable(name: str) -> str:
    """fig2 -> "Figure 02", table1_samples -> "Table 01 samples"."""
    words = {"fig": "Figure ", "table": "Table "}
    return _padded(re.sub(r"^(fig|table)(?=\d)", lambda found: words[found[1]], name).capitalize())


def _padded(text: str) -> str:
    """With two digits, since the browser sorts the lists by their letters."""
    return re.sub(r"(?<= )(\d)(?!\d)", r"0\1", text, count=1).replace("_", " ")
