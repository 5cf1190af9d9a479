"""The tables of target `beyond` for reading, with what they show in words."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from deepcache.beyond.comparison.sweeps import HOLD, UNCACHED, Sweep
from deepcache.results.markdown import RANDOM_WEIGHTS

DEARER = "†"
NOTE = (
    "PSNR (dB) of the cached images against the uncached ones of the same noise, before rounding to 8 bits or to a "
    "codebook; the mean over images of each image's. `gain`: of the rule, which picks full steps and weights by itself "
    "from other noises, over the better of holding at uniform steps and at those of Eq. 7, in brackets its 95 % "
    "interval over seeds (paired t-test). `p10`: the 10th percentile over images; `worst image`: the least gain of a "
    "single image. Branches count from 0."
)
NOTE_HALF = (
    "`half`: holding at half the interval; where that was not sampled, at the nearest smaller interval that was and is "
    "not below half (at N=2: without caching). `change`: of the rule to that, in brackets its paired 95 % interval "
    "over images. All columns are of the same number of images."
)


def beyond_markdown(table: pd.DataFrame, gains: pd.DataFrame, sweeps: Sequence[Sweep], title: str) -> str:
    """The tables for reading: gains with a verdict in words, scores, then for each model and branch methods by N."""
    content = [sweep.content for sweep in sweeps]
    devices = sorted({one["device"] for one in content if one.get("device")})
    parts = [
        f"# {title}",
        *([f"**{RANDOM_WEIGHTS}**"] if "random" in {one.get("weights") for one in content} else []),
        NOTE,
        as_markdown(_shown_gains(gains)),
        "\n".join(f"- {line}" for line in _verdicts(gains)),
    ]
    if gains[["fid_rule", "clip_rule"]].notna().any(axis=None):
        parts += ["## FID and CLIP score", NOTE_HALF, as_markdown(_shown_scores(gains))]
    for (model, branch), rows in table.groupby(["model", "branch"]):
        parts += [f"## {model}, branch {branch}: PSNR, dB", as_markdown(_shown_methods(rows))]
    parts.append(
        f"Methods: schedule, and what takes the place of the feature. Bold: the best of those that cost no more than "
        f"uniform holding; {DEARER}: costs more."
    )
    counts = dict.fromkeys(f"{one['model']} {len(one['seeds'])} x {one['images']}" for one in content)
    parts.append(
        f"Seeds x images of each: {', '.join(counts)}." + (f" Device: {'; '.join(devices)}." if devices else "")
    )
    return "\n\n".join(parts) + "\n"


def _verdicts(gains: pd.DataFrame) -> list[str]:
    """What the table shows, a sentence each: goals, never worse, scores."""
    lines = []
    for (interval, goal), rows in gains.dropna(subset=["goal_db"]).groupby(["interval", "goal_db"]):
        short = {_place(row): f"{goal - row.gain_db:.1f} dB" for row in rows[~rows["reached"]].itertuples()}
        lines.append(_counted(f"+{goal:g} dB at N={interval}: reached", len(rows), "short at", short))
    worse = {_place(row): f"{row.gain_db:.1f} dB" for row in gains[gains["gain_db"] < 0].itertuples()}
    lines.append(_counted("No worse than holding:", len(gains), "worse at", worse))
    unclear = [_place(row) for row in gains[(gains["gain_low"] <= 0) & (gains["gain_high"] >= 0)].itertuples()]
    if unclear:
        lines.append(f"The interval of the gain includes 0 at {', '.join(unclear)}.")
    for name, column, sign in (("FID", "fid", 1), ("CLIP score", "clip", -1)):
        scores = gains.dropna(subset=[f"{column}_rule", f"{column}_hold_half"])
        ends = scores[[f"{column}_change_low", f"{column}_change_high"]].to_numpy() * sign
        worse = {
            _place(row): f"{sign * change[0]:.2g} to {sign * change[1]:.2g}"
            for row, change in zip(scores.itertuples(), ends, strict=True)
            if change.min() > 0
        }
        if len(scores):
            lines.append(
                _counted(f"{name} not worse than holding at half the interval:", len(scores), "worse at", worse)
                + f" The interval that reaches furthest to the worse: {sign * ends.max():+.2g}."
            )
    return lines


def _counted(claim: str, settings: int, lead: str, exceptions: Mapping[str, str]) -> str:
    held = "all" if not exceptions else f"{settings - len(exceptions)} of the"
    said = ", ".join(f"{place} ({by})" for place, by in exceptions.items())
    return f"{claim} at {held} {settings} settings{f'; {lead} {said}' if said else ''}."


def _place(row) -> str:
    return f"{row.model} branch {row.branch} N={row.interval}"


def _verdict(row) -> str:
    words = f"worse by {-row.gain_db:.1f} dB" if row.gain_db < 0 else "not worse"
    if pd.isna(row.goal_db):
        return words
    if row.reached:
        return f"+{row.goal_db:g} dB reached"
    return f"short of +{row.goal_db:g} dB by {row.goal_db - row.gain_db:.1f} dB, {words}"


def _shown_gains(gains: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "model": row.model,
            "branch": row.branch,
            "N": row.interval,
            "full steps": row.full_steps,
            "hold": _decimals(row.hold_psnr_mean_db, "no error"),
            "Eq. 7": _decimals(row.eq7_psnr_mean_db, "no error"),
            "the rule": _decimals(row.psnr_mean_db, "no error"),
            "p10": _decimals(row.psnr_p10_db, "no error"),
            "picked": f"{row.picked_schedule}, {row.picked_reuse}",
            "gain": _decimals(row.gain_db)
            + ("" if pd.isna(row.gain_low) else f" [{_decimals(row.gain_low)}, {_decimals(row.gain_high)}]"),
            "gain of p10": _decimals(row.p10_gain_db),
            "worst image": _decimals(row.worst_image_gain_db),
            "images worse": row.images_worse,
            "verdict": _verdict(row),
        }
        for row in gains.itertuples()
    ]
    return pd.DataFrame(rows)


def _shown_scores(gains: pd.DataFrame) -> pd.DataFrame:
    names = ["hold", "rule", "hold_half"]
    scores = {"FID": "fid", "CLIP score": "clip"}
    shown = gains[["model", "branch", "interval"]].rename(columns={"interval": "N"})
    for title, column in scores.items():
        if gains[f"{column}_rule"].notna().any():
            for name in names:
                cells = gains[f"{column}_{name}"]
                shown[f"{title}, {name.replace('hold_', '')}"] = ["" if pd.isna(x) else f"{x:.4g}" for x in cells]
            changes = gains[[f"{column}_change", f"{column}_change_low", f"{column}_change_high"]]
            shown[f"{title}, change"] = [
                "" if pd.isna(x) else f"{x:.2g} [{y:.2g}, {z:.2g}]" for x, y, z in changes.to_numpy()
            ]
    return shown


def _shown_methods(rows: pd.DataFrame) -> pd.DataFrame:
    """Methods in the order of the files, a column for each N; the best of each that costs no more than uniform."""
    rows = rows[rows["schedule"] != UNCACHED[0]]
    methods = list(dict.fromkeys(zip(rows["schedule"], rows["reuse"], strict=True)))
    shown = {"method": ["MACs of a step, G", *(", ".join(method) for method in methods)]}
    for interval, found in rows.groupby("interval"):
        cells = found.set_index(["schedule", "reuse"])[["psnr_mean_db", "macs_g"]].astype(float)
        budget = cells["macs_g"][HOLD]
        dearer = cells["macs_g"] > budget * (1 + 1e-9)
        means = cells["psnr_mean_db"].fillna(math.inf)
        best = means[~dearer].max()
        column = [f"{budget:.4g}"]
        for method in methods:
            if method not in cells.index:
                column.append("")
                continue
            text = _decimals(cells["psnr_mean_db"][method], "no error")
            if dearer[method]:
                text += f" {DEARER}"
            elif means[method] == best:
                text = f"**{text}**"
            column.append(text)
        shown[f"N={interval}"] = column
    return pd.DataFrame(shown)


def _decimals(value: float | None, infinite: str = "") -> str:
    return infinite if value is None or pd.isna(value) else f"{value:.1f}"


def as_markdown(table: pd.DataFrame) -> str:
    """Cells as they are: text that looks like a number is not read as one."""
    return table.to_markdown(index=False, disable_numparse=True)
