"""Figure 4 of the paper: what the shallow pass of each skip branch costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from deepcache.figures.style import add_legend, plt, set_title


@dataclass(frozen=True)
class BranchCosts:
    """One architecture.

    Attributes:
        label: of the model.
        full_g: G MACs of a full pass.
        shallow_g: G MACs of the shallow pass of each branch, from branch 0.
        paper: the branch that the paper uses, from 0.
    """

    label: str
    full_g: float
    shallow_g: Sequence[float]
    paper: int


def draw_branches(title: str, models: Sequence[BranchCosts]) -> Figure:
    """A panel for each architecture: bars by skip branch (from 1, as in the paper), the full pass as a line."""
    figure, row = plt.subplots(1, len(models), figsize=(3.4 * len(models), 3.2), squeeze=False, layout="constrained")
    for model, axes in zip(models, row[0], strict=True):
        numbers = range(1, len(model.shallow_g) + 1)
        colours = ["C0" if number == model.paper + 1 else "0.75" for number in numbers]
        axes.bar(numbers, model.shallow_g, color=colours)
        axes.axhline(model.full_g, color="black", linestyle="--", linewidth=0.8)
        axes.set(
            title=model.label,
            xlabel="skip branch",
            ylabel="G MACs of a pass",
            xticks=numbers[:: 1 + len(numbers) // 13],
        )
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in ("C0", "0.75")]
    line = plt.Line2D([], [], color="black", linestyle="--", linewidth=0.8)
    labels = ["shallow pass, the paper's branch", "shallow pass, other branches", "full pass"]
    add_legend(figure, dict(zip(labels, [*handles, line], strict=True)))
    set_title(figure, title)
    return figure
