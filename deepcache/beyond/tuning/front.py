"""What a search tried, for people: a table and a picture of error against cost."""

from matplotlib.figure import Figure

from deepcache.beyond.tuning.tune import Tuned
from deepcache.beyond.tuning.tuner import Tried
from deepcache.caching.branches import place_words
from deepcache.figures.style import plt, set_title

ROWS = 15  # of the table
LOOKS = {"full": ("o", "#b85c12", "every step full"), "line": ("^", "#5fa8d3", "features on lines")}
JOINT = ("D", "#12355b", "weights of their own")


def describe(tuned: Tuned) -> str:
    """As Markdown: what was asked, what was found, the best of what was tried."""
    unit = "G MACs" if tuned.budget.macs is not None else "s"
    usual = tuned.costs.uncached(tuned.usual_calls)
    branches = ", ".join(
        f"{place_words(branch)} {value / tuned.costs.full:.0%}" for branch, value in tuned.costs.shallow.items()
    )
    best, judged = tuned.best, tuned.judged
    lines = [
        f"# Tuned: {tuned.budget.words}",
        f"Best: **{best.words}**. PSNR to the converged images: {judged.mean:.1f} dB in the mean over {judged.images} "
        f"images, 10th percentile {judged.tenth:.1f}. Measured beside each other, batch {tuned.batch_size}: "
        f"{tuned.seconds[1]:.3g} s, {tuned.seconds[0]:.3g} s for {tuned.usual.steps} full steps, "
        f"{tuned.speedup:.2f} times as fast.",
        f"A full step costs {tuned.costs.full:.3g} {unit}; a shallow one, of that: {branches}.",
        f"| sampler, full steps | cost, {unit} | times cheaper | mean PSNR, dB | 10th percentile | images |\n"
        "|---|---|---|---|---|---|\n"
        + "\n".join(
            f"| {one.candidate.words} | {one.candidate.cost:.3g} | {usual / one.candidate.cost:.2f} "
            f"| {one.judged.mean:.1f} | {one.judged.tenth:.1f} | {one.judged.images} |"
            for one in shown(tuned.tried)
        ),
    ]
    return "\n\n".join(lines) + "\n"


def shown(tried: tuple[Tried, ...]) -> list[Tried]:
    """The best, and the best way of every kind: without caching, on lines."""
    kinds = {}
    for one in tried:
        kinds.setdefault(_kind(one), one)
    return [one for place, one in enumerate(tried) if place < ROWS or one in kinds.values()]


def _kind(tried: Tried) -> str:
    prediction = tried.candidate.prediction
    return prediction if prediction == "full" else "joint" if prediction.startswith("joint") else "line"


def draw(tuned: Tuned) -> Figure:
    """Error against the number of steps, of all that was tried; the pick is ringed."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for kind, (marker, colour, label) in {**LOOKS, "joint": JOINT}.items():
        of = [one for one in tuned.tried if _kind(one) == kind]
        if of:
            points = [one.candidate.sampler.steps for one in of], [one.judged.mean for one in of]
            axis.plot(*points, marker, color=colour, label=label, markersize=5, alpha=0.8)
    best = tuned.best.sampler.steps, tuned.judged.mean
    axis.plot(*best, "o", markersize=13, fillstyle="none", color="black", label=f"picked: {tuned.best.sampler.slug}")
    axis.set(xlabel="steps of the sampler, more of which are shallow the more there are")
    axis.set(ylabel="mean PSNR to the converged images, dB")
    axis.grid(color="0.9")
    axis.legend(fontsize=8)
    set_title(figure, f"{tuned.budget.words}: fewer steps, and more of them cached")
    return figure
