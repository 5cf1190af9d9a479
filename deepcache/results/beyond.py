"""The tables of target `beyond`: every way to cache at equal MACs, and what the rule gains over the paper's two."""

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd

from deepcache.caching.schedules import average_macs
from deepcache.errors import DeepCacheError
from deepcache.metrics.intervals import MINIMUM_SEEDS, paired_over_seeds
from deepcache.metrics.paired_fidelity import mean_interval, psnr
from deepcache.results.files import UNREADABLE
from deepcache.results.markdown import RANDOM_WEIGHTS

# Schedule and what takes the place of the feature.
UNCACHED, HOLD, EQ7, RULE = ("full", "hold"), ("uniform", "hold"), ("eq7", "hold"), ("chosen", "chosen")
COMPARED = ("sampler", "steps", "schedule_length", "seeds", "images")  # alike in all sweeps of a model
KEYS = ("model", "branch", "interval", "methods", *COMPARED)
DEARER = "†"
NOTE = (
    "PSNR (dB) of the cached images against the uncached ones of the same noise. `gain`: of the rule, which picks full "
    "steps and forecast by itself from other noises, over the better of holding at uniform steps and at those of "
    "Eq. 7; the mean over seeds, in brackets its 95 % interval (paired t-test). `worst image`: the least gain of a "
    "single image. Branches count from 0."
)
NOTE_HALF = (
    "`half`: holding at half the interval; where that was not sampled, at the nearest smaller interval that was and is "
    "not below half (at N=2: without caching). All columns are of the same number of images."
)


@dataclass(frozen=True)
class Sweep:
    """One file of workflow/scripts/sweep.py: all methods of a model, branch and interval.

    Attributes:
        path: the file.
        content: what it says.
    """

    path: Path
    content: Mapping

    @property
    def place(self) -> tuple[str, int, int]:
        """Model, branch and interval."""
        return self.content["model"], self.content["branch"], self.content["interval"]

    def method(self, schedule: str, reuse: str) -> Mapping | None:
        """What the file says of a method; None where it has none such."""
        found = (one for one in self.content["methods"] if (one["schedule"], one["reuse"]) == (schedule, reuse))
        return next(found, None)

    def errors(self, schedule: str, reuse: str) -> np.ndarray:
        """Squared error of each image, shape (seeds, images)."""
        return np.array(self.method(schedule, reuse)["squared_error"])


def read_sweeps(files: Iterable[Path]) -> list[Sweep]:
    """Read and check sweeps; sorted by model, branch and interval.

    Raises:
        DeepCacheError: if a file is damaged, lacks a method that is compared, stands for what another one does, or was
            sampled from other seeds, images or with another sampler than the model's first file.
    """
    sweeps = sorted((_read(Path(path)) for path in files), key=lambda sweep: sweep.place)
    for one, other in itertools.pairwise(sweeps):
        if one.place == other.place:
            raise DeepCacheError(
                f"{other.path}: has the same model, branch and interval as {one.path}: give one of them"
            )
    first: dict[str, Sweep] = {}
    for sweep in sweeps:
        other = first.setdefault(sweep.place[0], sweep)
        _check_alike(sweep.path, sweep.content, other)
    return sweeps


def read_peers(path: Path, sweeps: Sequence[Sweep]) -> dict:
    """What workflow/scripts/peers.py wrote of one model.

    Raises:
        DeepCacheError: if the file is damaged, or other seeds or images than the model's sweeps were measured.
    """
    try:
        found = json.loads(path.read_text())
        other = next((sweep for sweep in sweeps if sweep.place[0] == found["model"]), None)
        for one in found["peers"]:
            _check_shapes(one, one["label"], found)
            missing = [key for key in ("group", "interval", "macs_g", "seconds_per_image") if key not in one]
            if missing:
                raise ValueError(f"{one['label']} has no {', '.join(missing)}")
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not readable peers ({error}); delete it and run again") from error
    if other is None:
        raise DeepCacheError(f"{path}: no sweep of its model {found['model']} was given: give them with --sweeps")
    _check_alike(path, found, other, ("seeds", "images"))
    return found


def build_beyond_table(sweeps: Sequence[Sweep], macs: Mapping[str, Path]) -> pd.DataFrame:
    """A row for every method of every sweep, in their order.

    Args:
        sweeps: see `read_sweeps`.
        macs: model -> JSON that workflow/scripts/model_macs.py wrote.

    Returns:
        Columns `model`, `branch` (from 0), `interval`, `schedule`, `reuse`, `macs_g` (G MACs of one image and step,
        averaged over the steps; where the full steps differ between batches, over those too), `psnr_db` of the mean
        squared error over all images of all seeds with its 95 % interval over images `psnr_low` and `psnr_high` (empty
        where there is no error at all), `fid` of all images, `clip_score`, their mean.

    Raises:
        DeepCacheError: if a model's MACs, or those of a branch, are missing.
    """
    counted = {model: _read_macs(path) for model, path in macs.items()}
    rows = []
    for sweep in sweeps:
        model, branch, interval = sweep.place
        if model not in counted or str(branch) not in counted[model]["shallow_g"]:
            where = macs.get(model, "--macs")
            raise DeepCacheError(f"{where}: no MACs of {model}, branch {branch}, which {sweep.path} needs")
        for one in sweep.content["methods"]:
            errors = np.concatenate(one["squared_error"])
            least, most = mean_interval(errors)
            rows.append(
                {
                    "model": model,
                    "branch": branch,
                    "interval": interval,
                    "schedule": one["schedule"],
                    "reuse": one["reuse"],
                    "macs_g": _average_macs(counted[model], sweep, one["full_steps"]),
                    "psnr_db": psnr(errors.mean()),
                    "psnr_low": psnr(most),  # the larger the error, the smaller the PSNR
                    "psnr_high": psnr(least),
                    "fid": one["fid"],
                    "clip_score": _clip_score(one),
                }
            )
    return pd.DataFrame(rows)


def build_gains_table(sweeps: Sequence[Sweep], goals: Mapping[int, float]) -> pd.DataFrame:
    """A row for each sweep: what the rule gains over the better of uniform and Eq. 7 holding, and scores beside it.

    The better one is that with the smaller mean squared error over all images. `gain_db` is the mean over seeds of the
    difference of PSNR, each seed's that of its mean squared error, with Student's interval of paired differences. Where
    a seed's images have no error at all, it is the difference over all images, without an interval; infinite where the
    rule's have none.

    Args:
        sweeps: see `read_sweeps`.
        goals: interval -> gain that is aimed at, dB.

    Returns:
        Columns `model`, `branch`, `interval`, `full_steps` (how many), `hold_psnr_db`, `eq7_psnr_db`,
        `picked_schedule`, `picked_reuse`, `psnr_db` (the rule's), `gain_db`, `gain_low`, `gain_high`,
        `worst_image_gain_db`, `images_worse` (how many), `fid_hold`, `fid_rule`, `fid_hold_half`, `clip_hold`,
        `clip_rule`, `clip_hold_half` (see `half`), `goal_db`, `reached` (both empty where there is no goal).
    """
    at = {sweep.place: sweep for sweep in sweeps}
    table = pd.DataFrame([_gains(sweep, at, goals) for sweep in sweeps])
    numbers = [name for name in table if name.startswith(("fid", "clip", "gain", "goal")) or name.endswith("_db")]
    return table.astype({**dict.fromkeys(numbers, float), "reached": "boolean"})  # also columns that are empty


def half(interval: int, swept: Iterable[int]) -> int | None:
    """The interval that stands for half of another: the smallest that was swept and is not below half.

    So it is half where half was swept; of N=2 it is 1, no caching. None where nothing lies between.
    """
    found = [other for other in {1, *swept} if interval / 2 <= other < interval]
    return min(found, default=None)


def beyond_markdown(
    table: pd.DataFrame, gains: pd.DataFrame, sweeps: Sequence[Sweep], peers: Sequence[Mapping], title: str
) -> str:
    """The tables for reading: gains with a verdict in words, scores, then for each model and branch methods by N."""
    content = [sweep.content for sweep in sweeps]
    devices = sorted({one["device"] for one in content if one.get("device")})
    parts = [
        f"# {title}",
        *([f"**{RANDOM_WEIGHTS}**"] if "random" in {one.get("weights") for one in content} else []),
        NOTE,
        _text(_shown_gains(gains)),
        "\n".join(f"- {line}" for line in _verdicts(gains)),
    ]
    if gains[["fid_rule", "clip_rule"]].notna().any(axis=None):
        parts += ["## FID and CLIP score", NOTE_HALF, _text(_shown_scores(gains))]
    for (model, branch), rows in table.groupby(["model", "branch"]):
        parts += [f"## {model}, branch {branch}: PSNR, dB", _text(_shown_methods(rows))]
    parts.append(
        f"Methods: schedule, and what takes the place of the feature. Bold: the best of those that cost no more than "
        f"uniform holding; {DEARER}: costs more."
    )
    if peers:
        parts += [
            "## Peers at matched time",
            "Each is set to take as long as holding at N, as near as its steps or ratios allow; where no "
            "ratio of token merging is that fast, the fastest one stands beside the first N. `holding`, `the rule`: "
            "their PSNR at that N, at the model's first branch.",
            _text(_shown_peers(peers, table)),
        ]
    counts = dict.fromkeys(f"{one['model']} {len(one['seeds'])} x {one['images']}" for one in content)
    parts.append(
        f"Seeds x images of each: {', '.join(counts)}." + (f" Device: {'; '.join(devices)}." if devices else "")
    )
    return "\n\n".join(parts) + "\n"


# Reading


def _read(path: Path) -> Sweep:
    try:
        found = json.loads(path.read_text())
        missing = [key for key in KEYS if key not in found]
        if missing:
            raise ValueError(f"has no {', '.join(missing)}")
        for one in found["methods"]:
            _check_shapes(one, f"{one['schedule']}, {one['reuse']}", found)
            if not one["full_steps"]:
                raise ValueError(f"{one['schedule']}, {one['reuse']} has no full steps")
        sweep = Sweep(path, found)
        absent = [", ".join(method) for method in (UNCACHED, HOLD, EQ7, RULE) if sweep.method(*method) is None]
        if absent:
            raise ValueError(f"lacks the method {'; '.join(absent)}")
        if len({(one["schedule"], one["reuse"]) for one in found["methods"]}) < len(found["methods"]):
            raise ValueError("has a method twice")
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not a readable sweep ({error}); delete it and run again") from error
    if len(found["seeds"]) < MINIMUM_SEEDS:
        raise DeepCacheError(f"{path}: gains need at least {MINIMUM_SEEDS} seeds, not {len(found['seeds'])}")
    return sweep


def _check_shapes(one: Mapping, name: str, found: Mapping) -> None:
    """Refuse a method whose lists do not hold as many values as there are seeds and images; a missing key too."""
    counts = [found["images"]] * len(found["seeds"])
    for metric in ("squared_error", "clip_score"):
        values = one[metric]
        if values is None and metric == "clip_score":
            continue
        if [len(of) for of in values] != counts:
            raise ValueError(f"{name}: {metric} is not of {len(counts)} seeds with {found['images']} images each")
    if one["fid"] is not None and not math.isfinite(one["fid"]):
        raise ValueError(f"{name}: fid is {one['fid']}")


def _check_alike(path: Path, found: Mapping, other: Sweep, keys: Sequence[str] = COMPARED) -> None:
    differing = [key for key in keys if found.get(key) != other.content[key]]
    if differing:
        raise DeepCacheError(
            f"{path}: has another {', '.join(differing)} than {other.path}: FID and gains are of equal samples; delete "
            "it and run again"
        )


def _read_macs(path: Path) -> Mapping:
    try:
        found = json.loads(path.read_text())
        return {key: found[key] for key in ("full_g", "shallow_g")}
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not readable MACs ({error}); delete it and run again") from error


# Numbers


def _average_macs(counted: Mapping, sweep: Sweep, full_steps: Sequence[Sequence[int]]) -> float:
    """G MACs a step; calls beyond the schedule's length, such as the one that PLMS repeats, do not count."""
    calls, steps = sweep.content["schedule_length"], sweep.content["steps"]
    shallow = counted["shallow_g"][str(sweep.place[1])]
    numbers = [min(len(one), calls) for one in full_steps]
    return fmean(average_macs(counted["full_g"], shallow, calls, range(k)) for k in numbers) * (calls / steps)


def _clip_score(one: Mapping) -> float | None:
    return None if one["clip_score"] is None else float(np.mean(one["clip_score"]))


def _decibels(errors: np.ndarray) -> float:
    found = psnr(errors.mean())
    return math.inf if found is None else found


def _gains(sweep: Sweep, at: Mapping[tuple[str, int, int], Sweep], goals: Mapping[int, float]) -> dict:
    model, branch, interval = sweep.place
    hold, eq7, rule = (sweep.errors(*method) for method in (HOLD, EQ7, RULE))
    better = min(hold, eq7, key=np.mean)
    gain, low, high = _gain(sweep.content["seeds"], rule, better)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_image = np.where(rule == better, 0.0, 10 * (np.log10(better) - np.log10(rule)))
    picked, goal = sweep.method(*RULE), goals.get(interval)
    other = half(interval, (place[2] for place in at if place[:2] == (model, branch)))
    scored = {"hold": sweep.method(*HOLD), "rule": picked, "hold_half": None}
    if other is not None:
        scored["hold_half"] = sweep.method(*UNCACHED) if other == 1 else at[model, branch, other].method(*HOLD)
    return {
        "model": model,
        "branch": branch,
        "interval": interval,
        "full_steps": len(sweep.method(*HOLD)["full_steps"][0]),
        "hold_psnr_db": psnr(hold.mean()),
        "eq7_psnr_db": psnr(eq7.mean()),
        "picked_schedule": picked.get("picked_schedule"),
        "picked_reuse": picked.get("picked_reuse"),
        "psnr_db": psnr(rule.mean()),
        "gain_db": gain,
        "gain_low": low,
        "gain_high": high,
        "worst_image_gain_db": float(by_image.min()),
        "images_worse": int((rule > better).sum()),
        **{f"fid_{name}": one and one["fid"] for name, one in scored.items()},
        **{f"clip_{name}": one and _clip_score(one) for name, one in scored.items()},
        "goal_db": goal,
        "reached": None if goal is None else gain >= goal,
    }


def _gain(seeds: Sequence[int], errors: np.ndarray, others: np.ndarray) -> tuple[float, float | None, float | None]:
    mine, theirs = ({seed: _decibels(of) for seed, of in zip(seeds, found, strict=True)} for found in (errors, others))
    if all(map(math.isfinite, [*mine.values(), *theirs.values()])):
        found = paired_over_seeds(mine, theirs)
        return found.value, found.low, found.high
    all_mine, all_theirs = _decibels(errors), _decibels(others)
    return 0.0 if all_mine == all_theirs else all_mine - all_theirs, None, None


# Words


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
        worse = {
            _place(row): f"{mine:.4g} against {other:.4g}"
            for row, mine, other in zip(
                scores.itertuples(), scores[f"{column}_rule"], scores[f"{column}_hold_half"], strict=True
            )
            if sign * (mine - other) > 0
        }
        if len(scores):
            lines.append(
                _counted(f"{name} no worse than holding at half the interval:", len(scores), "worse at", worse)
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
            "hold": _decimals(row.hold_psnr_db, "no error"),
            "Eq. 7": _decimals(row.eq7_psnr_db, "no error"),
            "the rule": _decimals(row.psnr_db, "no error"),
            "picked": f"{row.picked_schedule}, {row.picked_reuse}",
            "gain": _decimals(row.gain_db)
            + ("" if pd.isna(row.gain_low) else f" [{_decimals(row.gain_low)}, {_decimals(row.gain_high)}]"),
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
    return shown


def _shown_methods(rows: pd.DataFrame) -> pd.DataFrame:
    """Methods in the order of the files, a column for each N; the best of each that costs no more than uniform."""
    rows = rows[rows["schedule"] != UNCACHED[0]]
    methods = list(dict.fromkeys(zip(rows["schedule"], rows["reuse"], strict=True)))
    shown = {"method": ["MACs of a step, G", *(", ".join(method) for method in methods)]}
    for interval, found in rows.groupby("interval"):
        cells = found.set_index(["schedule", "reuse"])[["psnr_db", "macs_g"]].astype(float)
        budget = cells["macs_g"][HOLD]
        dearer = cells["macs_g"] > budget * (1 + 1e-9)
        decibels = cells["psnr_db"].fillna(math.inf)
        best = decibels[~dearer].max()
        column = [f"{budget:.4g}"]
        for method in methods:
            if method not in cells.index:
                column.append("")
                continue
            text = _decimals(cells["psnr_db"][method], "no error")
            if dearer[method]:
                text += f" {DEARER}"
            elif decibels[method] == best:
                text = f"**{text}**"
            column.append(text)
        shown[f"N={interval}"] = column
    return pd.DataFrame(shown)


def _shown_peers(peers: Sequence[Mapping], table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for found in peers:
        ours = table[table["model"] == found["model"]]
        ours = ours[ours["branch"] == ours["branch"].min()].set_index(["interval", "schedule", "reuse"])["psnr_db"]
        for one in found["peers"]:
            row = {
                "model": found["model"],
                "peer": one["label"],
                "s an image": f"{one['seconds_per_image']:.3g}",
                "PSNR": _decimals(psnr(np.mean(one["squared_error"])), "no error"),
                "N": one["interval"],
            }
            for name, method in (("holding", HOLD), ("the rule", RULE)):
                place = (one["interval"], *method)
                row[name] = _decimals(ours[place], "no error") if place in ours else ""
            clip_score = _clip_score(one)
            row["FID"] = "" if one["fid"] is None else f"{one['fid']:.4g}"
            row["CLIP score"] = "" if clip_score is None else f"{clip_score:.4g}"
            rows.append(row)
    return pd.DataFrame(rows)


def _decimals(value: float | None, infinite: str = "") -> str:
    return infinite if value is None or pd.isna(value) else f"{value:.1f}"


def _text(table: pd.DataFrame) -> str:
    return table.to_markdown(index=False, disable_numparse=True)
