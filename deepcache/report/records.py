"""Pages that say where every number came from: runs, checkpoints, datasets, software, settings."""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd
import yaml

from deepcache.json_values import read_object
from deepcache.runs.run import Run
from deepcache.suite.layout import layout_runs
from deepcache.suite.search import settle


def read_runs(results: Path, layouts: dict[str, dict], diversity: pd.DataFrame) -> pd.DataFrame:
    """A row for each run behind the tables: what its sidecar says, and where it is shown.

    Args:
        results: `results/<suite>`.
        layouts: of all tables.
        diversity: results/<suite>/tables/diversity.csv, whose runs no layout names.

    Returns:
        Columns `run`, `tables`, `images`, `weights`, `precision`, `sampling_seconds`, `device`, `commit`,
        `settings_hash`, `shards` and `versions` (a dict).
    """
    shown: dict[str, list[str]] = {}
    for layout in layouts.values():
        for run in layout_runs(settle(layout, results)):
            shown.setdefault(str(run.path), []).append(layout["title"].partition(":")[0])
    for sidecar in "; ".join(diversity["runs"]).split("; "):
        shown.setdefault(str(Run.parse(PurePosixPath(sidecar).parent).path), []).append("Diversity")
    return pd.DataFrame([_run(results, path, tables) for path, tables in sorted(shown.items())])


def _run(results: Path, path: str, tables: list[str]) -> dict:
    sidecar = read_object(results / path / "run.json")
    return {
        "run": path,
        "tables": ", ".join(tables),
        "images": sidecar["images"],
        "weights": sidecar["weights"],
        "precision": sidecar["settings"]["precision"],
        "sampling_seconds": sidecar["sampling_seconds"],
        "device": "; ".join(sidecar["devices"]),
        "commit": "; ".join(sidecar["commits"]),
        "settings_hash": sidecar["settings_hash"],
        "shards": len(sidecar["shards"]),
        "versions": sidecar["versions"],
    }


def all_runs(runs: pd.DataFrame) -> str:
    """One sentence: how many runs and images, on what, from which commit."""
    seeds = sorted({Run.parse(path).seed for path in runs["run"]})
    devices, commits = ("; ".join(sorted(set(runs[name]))) for name in ("device", "commit"))
    return (
        f"{len(runs)} runs with {runs['images'].sum():,} images; seeds: {', '.join(map(str, seeds))}; "
        f"device: {devices}; commit: {commits}."
    )


def runs_page(runs: pd.DataFrame, results: Path) -> str:
    """A table of all runs, as Markdown."""
    text = (
        f"Each run's `run.json` stands in its folder below `{results}`, with all settings and the SHA-256 of every "
        "shard; its metrics beside it name the same settings hash. A table's CSV names the runs behind each row."
    )
    return _markdown("Runs", text, runs.drop(columns="versions"))


def software_page(runs: pd.DataFrame) -> str:
    """Versions, as Markdown: a column for each set of them that occurs among the runs."""
    groups: dict[str, list[str]] = {}
    for run, versions in zip(runs["run"], runs["versions"], strict=True):
        groups.setdefault(json.dumps(versions, sort_keys=True), []).append(run)
    found = {f"{len(group)} runs": json.loads(key) for key, group in groups.items()}
    if len(found) < len(groups):  # as many runs in two of them
        found = {f"set {i}, {len(group)} runs": json.loads(key) for i, (key, group) in enumerate(groups.items(), 1)}
    table = pd.DataFrame(found).rename_axis("library").reset_index()
    return _markdown("Software", "As recorded by the runs themselves.", table)


def checkpoints_page(manifests: Iterable[dict]) -> str:
    """A row for each file of weights, as Markdown."""
    rows = [
        {
            "checkpoint": one["name"],
            "source": one["source"],
            "origin": _origin(one["origin"]),
            "licence": one["licence"] or "",
            "file": file,
            "sha256": digest,
        }
        for one in manifests
        for file, digest in one["sha256"].items()
    ]
    return _markdown(
        "Checkpoints", "The weights are compared with these checksums whenever they are opened.", pd.DataFrame(rows)
    )


def datasets_page(manifests: Iterable[dict]) -> str:
    """A row for each dataset, as Markdown."""
    rows = [
        {
            "dataset": one["name"],
            "format": one["format"],
            "source": one["source"],
            "origin": _origin(one["origin"]),
            "licence": one["licence"] or "",
            "items": one["items"],
            "fingerprint": one["fingerprint"],
        }
        for one in manifests
    ]
    return _markdown(
        "Datasets",
        "A fingerprint is the SHA-256 of a file, or of the names and sizes of a folder's files.",
        pd.DataFrame(rows),
    )


def settings_page(suite: dict) -> str:
    """The config, merged and complete, as Markdown."""
    text = yaml.safe_dump(suite, sort_keys=False, allow_unicode=True, width=110)
    return f"# Settings\n\nThe suite as it was run.\n\n```yaml\n{text}```\n"


def _origin(origin: dict) -> str:
    return ", ".join(f"{key}: {value}" for key, value in origin.items())


def _markdown(title: str, text: str, table: pd.DataFrame) -> str:
    return f"# {title}\n\n{text}\n\n{table.to_markdown(index=False, disable_numparse=True)}\n"
