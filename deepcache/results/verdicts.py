"""When a number of the paper counts as reproduced. Imports nothing heavy."""

from dataclasses import dataclass

REPRODUCED, DIFFERS, NOT_COMPARABLE, NOT_RUN = "reproduced", "differs", "not comparable", "not run"
VERDICTS = (REPRODUCED, DIFFERS, NOT_COMPARABLE, NOT_RUN)
QUALITY = ("fid", "sfid", "is", "precision", "recall", "clip_score")
TIMES = ("throughput", "speed")
PICKED = ("center", "power")  # results only where a table has no others: Tables 9 and 10
METRICS = ("macs_g", *QUALITY, *TIMES, *PICKED)
PAPER_DEVICE = "NVIDIA GeForce RTX 2080"  # paper, Section 4.1


@dataclass(frozen=True)
class Ours:
    """What a suite has for one cell of the paper.

    Attributes:
        value: None where there is none.
        low, high: its 95 % interval, if there is one.
        images: in each run behind it.
        device: on which it was measured; several are joined by "; ".
        weights: where the models' weights came from, as in run.json; several are joined by "; ".
        missing: why there is no value, if no run was made for it.
        undefined: why there is no value, although a run was made.
        note: why it is known to differ.
        source: the files that it came from, joined by "; ".
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    images: int | None = None
    device: str = ""
    weights: str = ""
    missing: str = ""
    undefined: str = ""
    note: str = ""
    source: str = ""


def judge(metric: str, printed: str, quoted: bool, ours: Ours, standard: dict) -> tuple[str, str]:
    """One of VERDICTS, and its reason in a few words.

    Args:
        metric: one of METRICS. MACs (`macs_g`) are counted on the paper's own architectures, so they are comparable
            in every suite.
        printed: the paper's number as it prints it.
        quoted: whether the paper took it from another work.
        ours: what it is compared with.
        standard: the config's `verdicts`: `comparable`, `reason`, and by metric in `tolerances` the largest `absolute`
            or `relative` difference and the number of `images` on which the metric depends.
    """
    if metric != "macs_g" or ours.value is None:
        if quoted:
            return NOT_COMPARABLE, "the paper quotes it from another work"
        if ours.missing:
            return NOT_RUN, ours.missing
        if ours.undefined:
            return NOT_COMPARABLE, f"undefined: {ours.undefined}"
        if reason := _another_experiment(metric, ours, standard):
            return NOT_COMPARABLE, reason
    return _compared(printed, ours, standard["tolerances"][metric])


def _another_experiment(metric: str, ours: Ours, standard: dict) -> str:
    """Why a measured number does not answer the paper's question; empty where it does."""
    if not standard["comparable"]:
        return standard["reason"]
    if "random" in ours.weights.split("; "):
        return "random weights"
    if metric in TIMES and ours.device != PAPER_DEVICE:
        return f"times of another device than the paper's {PAPER_DEVICE}"
    images = standard["tolerances"][metric].get("images", ours.images)
    return "" if images == ours.images else f"{metric} depends on the number of images, the paper's is of {images:,}"


def _compared(printed: str, ours: Ours, tolerance: dict) -> tuple[str, str]:
    paper = float(printed)
    difference = abs(ours.value - paper)
    if ours.low is not None and ours.low <= paper <= ours.high:
        return REPRODUCED, "within our 95 % interval"
    allowed = {
        "absolute": (tolerance.get("absolute"), 1, "{:g}"),
        "relative": (tolerance.get("relative"), abs(paper), "{:.3g} %"),
    }
    limits = []
    for kind, (limit, scale, text) in allowed.items():
        if limit is None:
            continue
        limits.append(text.format(100 * limit if kind == "relative" else limit))
        if difference <= limit * scale:
            return REPRODUCED, f"within {limits[-1]}"
    decimals = len(printed.partition(".")[2])
    if round(ours.value, decimals) == paper:
        return REPRODUCED, f"equal when rounded as the paper prints it (decimals: {decimals})"
    return DIFFERS, ours.note or f"by more than {' and '.join(limits)}"
