"""The table of measured speed-ups beside what the MACs promise."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from deepcache.cost.operations import STEP
from deepcache.errors import DeepCacheError, reason
from deepcache.files import atomic

# The contract's columns, then what else is known of a row.
COLUMNS = [
    "model",
    "device",
    "precision",
    "batch",
    "interval",
    "branch",
    "implementation",
    "mode",
    "seconds_per_image",
    "speedup",
    "macs_ratio",
    "efficiency",
    "bytes_cached",
    "reuse",
    "latent",
    "guided",
    "channels_last",
    "steps",
    "repeats",
    "threads",
    "tf32",
    "seconds_low",
    "seconds_high",
    "speedup_low",
    "speedup_high",
    "peak_bytes",
    "waits_per_step",
    "torch",
    "commit",
]
# One model measured in one place and way.
PLACE = ["model", "device", "precision", "channels_last", "latent", "batch"]
PAPER = {"ddpm-cifar10": 0.91, "ddpm-lsun": 0.93, "ldm4g-imagenet": 0.97, "sd-v1-5": 0.81}
# A full and a shallow step in one of those places, by kind of operation.
OPERATION_COLUMNS = [
    "model",
    "device",
    "precision",
    "batch",
    "branch",
    "operation",
    "full_seconds",
    "shallow_seconds",
    "macs_left",
    "with_attention",  # the same where attention's products are counted
    "latent",
    "guided",
    "channels_last",
    "threads",
    "tf32",
    "torch",
    "commit",
]
LEFT = ["macs_left", "with_attention"]
LATER = pd.Index(["tf32"])  # columns that tables of earlier versions lack
MEGA = 2**20


def write_table(path: Path, rows: Sequence[dict], columns: Sequence[str]) -> None:
    """Write rows as a CSV, whole or not at all."""
    with atomic(path) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)


def read_speed(files: Iterable[Path], columns: Sequence[str] = tuple(COLUMNS)) -> pd.DataFrame:
    """Rows of files that workflow/scripts/latency.py wrote, one below the other; of its --operations, their columns.

    Raises:
        DeepCacheError: if a file is none of them.
    """
    tables = []
    for path in files:
        try:
            table = pd.read_csv(path)
            tables.append(table.reindex(columns=[*table.columns, *LATER.difference(table.columns)])[list(columns)])
        except (OSError, KeyError, ValueError) as error:
            raise DeepCacheError(f"{path}: not a table of speeds ({reason(error)}); delete it and run again") from error
    return pd.concat(tables, ignore_index=True)


def to_markdown(table: pd.DataFrame, operations: pd.DataFrame | None = None) -> str:
    """A section for each model and place, what its rows show in words, and where the time of its steps goes."""
    parts = ["# Speed beside MACs\n"]
    parts.append(
        "A trajectory's calls of the U-Net, random weights; text encoder, sampler and first stage are left out. "
        "Speed-up is to the same mode without caching, the median over interleaved repetitions [smallest, largest]; "
        "efficiency is speed-up over the ratio of MACs. Waits: how often a step waits for the device.\n"
    )
    for place, rows in table.groupby(PLACE, sort=False):
        first = rows.iloc[0]
        about = dict(zip(PLACE, place, strict=True))
        threads = "" if pd.isna(first["threads"]) else f" {first['threads']:g} threads,"
        words = f"{about['device']},{threads} torch {first['torch']}; {about['precision']}"
        words += ", channels last" if about["channels_last"] else ""
        words += f"; {first['steps']} steps of {about['latent']}, branch {first['branch']}"
        words += ", guidance doubles the batch" if first["guided"] else ""
        parts.append(f"## {about['model']}, batch {about['batch']}\n\n{words}.\n")
        parts.append(_shown(rows).to_markdown(index=False, disable_numparse=True) + "\n")
        parts.append("\n".join(f"- {sentence}" for sentence in _findings(rows)) + "\n")
        if operations is not None:
            here = operations[(operations[PLACE] == list(place)).all(axis=1)]
            parts += _where_time_goes(here) if len(here) else []
    return "\n".join(parts)


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "implementation": row.implementation,
                "mode": row.mode,
                "feature": "" if pd.isna(row.reuse) else row.reuse,
                "N": row.interval,
                "s an image": f"{row.seconds_per_image:.3g}",
                "speed-up": f"{row.speedup:.2f}" + _between(row.speedup_low, row.speedup_high),
                "MACs ratio": f"{row.macs_ratio:.2f}",
                "efficiency": f"{row.efficiency:.2f}",
                "cached, MiB": f"{row.bytes_cached / MEGA:.2f}",
                "peak, MiB": "" if pd.isna(row.peak_bytes) else f"{row.peak_bytes / MEGA:.1f}",
                "waits": "" if pd.isna(row.waits_per_step) else f"{row.waits_per_step:g}",
            }
            for row in rows.itertuples()
        ]
    )


def _between(low: float, high: float) -> str:
    return "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"


def _where_time_goes(operations: pd.DataFrame) -> list[str]:
    """What a shallow step takes beyond its share of the MACs, by operation; the greatest first."""
    table, (left, with_attention) = operations.set_index("operation"), operations[LEFT].iloc[0]
    full, shallow = 1e3 * table["full_seconds"], 1e3 * table["shallow_seconds"]
    shown = pd.DataFrame({"eager, ms": full.index, "full step": full, "shallow step": shallow})
    shown["beyond its share of the MACs"] = shallow - left * full
    shown = shown.drop(STEP).sort_values("beyond its share of the MACs", ascending=False)
    return [
        f"A shallow step has {100 * left:.1f} % of a full step's MACs ({100 * with_attention:.1f} % where attention's "
        "products count, as they do not in the paper) and takes "
        f"{100 * shallow[STEP] / full[STEP]:.1f} % of its time ({shallow[STEP]:.3g} of {full[STEP]:.3g} ms):\n",
        shown.map(lambda cell: cell if isinstance(cell, str) else f"{cell:.2f}").to_markdown(
            index=False, disable_numparse=True
        )
        + "\n",
    ]


def _findings(rows: pd.DataFrame) -> list[str]:
    """Sentences about one model in one place."""
    found = []
    ours = rows[rows["implementation"] == "ours"]
    for mode, cached in ours[ours["reuse"] == "hold"].groupby("mode", sort=False):
        near = cached[cached["interval"] <= 5]
        if len(near):
            said = f"{mode}: efficiency {near['efficiency'].min():.2f} to {near['efficiency'].max():.2f} for N up to 5"
            paper = PAPER.get(rows.iloc[0]["model"])
            found.append(said + (f" (the paper's own tables: {paper})." if paper else "."))
    held = ours[ours["reuse"] == "hold"].set_index(["mode", "interval"])
    for row in rows[rows["implementation"] == "pip_deepcache"].itertuples():
        modes = {mode: place for mode in ours["mode"].unique() if (place := (mode, row.interval)) in held.index}
        gains = {mode: row.seconds_per_image / held.loc[place, "seconds_per_image"] for mode, place in modes.items()}
        if not gains:
            continue
        times = ", ".join(f"{gain:.2f} in mode {mode}" for mode, gain in gains.items())
        share = held["bytes_cached"].iloc[0] / row.bytes_cached
        found.append(
            f"N={row.interval}: times faster than the authors' plug-in: {times}; "
            f"{100 * share:.1f} % of its cached bytes."
        )
    return found
