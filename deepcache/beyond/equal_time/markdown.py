"""Table `budget` for reading, with who wins in words."""

from collections.abc import Mapping, Sequence

import pandas as pd

from deepcache.beyond.comparison.markdown import as_markdown
from deepcache.beyond.equal_time.methods import METHODS, TUNED
from deepcache.beyond.tuning.tune import NEAR
from deepcache.results.markdown import RANDOM_WEIGHTS

LATE = "†"
TITLES = {name: method.title for name, method in METHODS.items()} | {TUNED: "tuned plan (ours)"}
NOTE = (
    "PSNR (dB) to the *converged* images, which many steps of DDIM make from the same noise, before rounding: the mean "
    "over images, in brackets the 10th percentile. Speeds are measured, of whole trajectories with text encoder and "
    "first stage, over the model's usual steps without caching beside them. Every method has the setting with which it "
    "errs least on noises of the search within the time; what is shown is of fresh noises. Sampler and number of steps "
    "are the model's usual ones, but for fewer steps and the tuned plan, which choose among samplers. Where a method "
    "is not that fast stands the highest speed that it reaches, as its steps cost. Bold: the best. "
    f"{LATE}: measured more than 3 % slower than the target, so it does not count."
)
NOTE_FEW = (
    "The best sampler with so many steps, every second of them full. `fewer`: the best sampler with as many full steps "
    "as take no longer than the cached ones, by what a step costs. `gain`: PSNR to the converged images over those, in "
    "brackets the paired 95 % interval over images: below 0 fewer steps are the better way to be as fast."
)
HEAD = 3.0  # dB, the lead that is aimed at


def budget_markdown(table: pd.DataFrame, few: pd.DataFrame, contests: Sequence[Mapping], title: str) -> str:
    """For each model methods by speed, a verdict at each speed, and the settings; then where caching stops to pay."""
    random = "random" in {one.get("weights") for one in contests}
    parts = [f"# {title}", *([f"**{RANDOM_WEIGHTS}**"] if random else []), NOTE, _counts(table)]
    for found in contests:
        rows = table[table["model"] == found["model"]]
        parts += [
            f"## {found['model']}",
            f"Usual: {found['sampler']}, {found['seconds_per_image']:.3g} s an image (batch {found['batch_size']}). "
            f"Converged: {found['converged']}. {len(found['seeds'])} seeds x {found['images']} images. Device: "
            f"{found.get('device', 'unknown')}.",
            as_markdown(_errors(rows)),
            "\n".join(f"- {_verdict(target, one)}" for target, one in rows.groupby("target_speed")),
            as_markdown(_scores(rows)),
        ]
    if len(few):
        parts += ["## Few steps, N = 2", NOTE_FEW, as_markdown(_few(few))]
    return "\n\n".join(parts) + "\n"


def _in_time(rows: pd.DataFrame) -> pd.DataFrame:
    """Those that reach their speed, as measured."""
    return rows[rows["error_db"].notna() & (rows["speed"] >= rows["target_speed"] / NEAR[1])]


def _counts(table: pd.DataFrame) -> str:
    """Where the tuned plan stands, over all models and speeds."""
    cells = [_in_time(one) for _, one in table.groupby(["model", "target_speed"])]
    cells = [one for one in cells if len(one) > 1 and TUNED in set(one["method"])]
    leads = [one["tuned_lead_db"].min() for one in cells]
    behind = [one["tuned_lead_high"].min() for one in cells]
    clear = [one["tuned_lead_low"].min() for one in cells]
    fewer = [lead for one in cells for lead in one[one["method"] == "fewer_steps"]["tuned_lead_db"]]
    return (
        f"Of {len(cells)} cells that two methods reach, the tuned plan is ahead of all in {sum(x > 0 for x in leads)}, "
        f"beyond the interval in {sum(x > 0 for x in clear)}, by {HEAD:g} dB or more in "
        f"{sum(x >= HEAD for x in leads)}; behind one by more than the interval in {sum(x < 0 for x in behind)}. Over "
        f"fewer steps alone it is ahead by {HEAD:g} dB or more in {sum(x >= HEAD for x in fewer)} of {len(fewer)}."
    )


def _verdict(target: float, rows: pd.DataFrame) -> str:
    found = _in_time(rows).sort_values("error_db", ascending=False)
    others = found[found["method"] != TUNED]
    if found.empty or others.empty or len(others) == len(found):
        return f"{target:g} times as fast: one method, or none: nothing to win."
    best, lead = found.iloc[0], others.iloc[0]
    interval = f"{lead.tuned_lead_db:+.1f} dB [{lead.tuned_lead_low:.1f}, {lead.tuned_lead_high:.1f}]"
    clear = "significant" if lead.tuned_lead_low > 0 or lead.tuned_lead_high < 0 else "within the interval"
    return (
        f"{target:g} times as fast: {TITLES[best.method]} wins with {best.error_db:.1f} dB; the tuned plan to "
        f"{TITLES[lead.method]}: {interval}, {clear}."
    )


def _errors(rows: pd.DataFrame) -> pd.DataFrame:
    shown = {"method": list(TITLES.values())}
    for target, found in rows.groupby("target_speed"):
        found = found.set_index("method")
        best, column = _in_time(found)["error_db"].max(), []
        for method in TITLES:
            one = found.loc[method]
            if pd.isna(one.error_db):
                column.append("" if pd.isna(one.highest_speed) else f"up to {one.highest_speed:.2g}")
                continue
            text = f"{one.error_db:.1f} ({one.error_p10_db:.1f})"
            text += f" {LATE}" if one.speed < target / NEAR[1] else ""
            column.append(f"**{text}**" if one.error_db == best else text)
        shown[f"{target:g} times"] = column
    return pd.DataFrame(shown)


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows.dropna(subset=["error_db"])
    shown = {
        "times": [f"{value:g}" for value in found["target_speed"]],
        "method": [TITLES[method] for method in found["method"]],
        "setting": found["setting"],
        "measured": [f"{value:.2f}" for value in found["speed"]],
        "MACs, G": ["" if pd.isna(value) else f"{value:.3g}" for value in found["macs_g"]],
    }
    for title, column in (("FID", "fid"), ("CLIP score", "clip_score")):
        if found[column].notna().any():
            shown[title] = ["" if pd.isna(value) else f"{value:.4g}" for value in found[column]]
    return pd.DataFrame(shown)


def _few(few: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "model": row.model,
            "steps": row.sampler,
            "cached": TITLES[row.method],
            "times faster": f"{row.speed:.2f}",
            "uncached": f"{row.uncached_db:.1f}",
            "PSNR": f"{row.error_db:.1f}",
            "fewer": "" if pd.isna(row.fewer_db) else f"{row.fewer}: {row.fewer_db:.1f}",
            "gain": "" if pd.isna(row.gain_db) else f"{row.gain_db:+.1f} [{row.gain_low:.1f}, {row.gain_high:.1f}]",
        }
        for row in few.itertuples()
    ]
    return pd.DataFrame(rows)
