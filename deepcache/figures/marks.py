"""Numbers beside points, placed where they cover neither each other nor the points."""

from collections.abc import Sequence
from dataclasses import dataclass

SIZE = 7  # of the letters, points
WIDTH, HEIGHT = 0.62 * SIZE, 0.8 * SIZE  # of a digit, points
# Where a mark may stand, from its point, in points; the nearer ones first.
PLACES = [
    (x * far, y * far)
    for far in (1, 1.8, 2.8)
    for x, y in ((0, 8), (0, -8), (9, 0), (-9, 0), (8, 7), (-8, 7), (8, -7), (-8, -7))
]


@dataclass(frozen=True)
class Mark:
    """A text at a point of a panel, in the colour of its curve."""

    text: str
    x: float
    y: float
    color: str


def place_marks(panel, marks: Sequence[Mark]) -> None:
    """Write the marks once everything else of the panel is drawn and its figure is laid out.

    Args:
        panel: matplotlib's axes.
        marks: in the order in which they choose their place.
    """
    scale = 72 / panel.figure.dpi
    points = [tuple(place * scale for place in panel.transData.transform((mark.x, mark.y))) for mark in marks]
    taken = [_box(x, y, 5, 5) for x, y in points]
    for mark, (x, y) in zip(marks, points, strict=True):
        boxes = [_box(x + dx, y + dy, len(mark.text) * WIDTH, HEIGHT) for dx, dy in PLACES]
        covered = [sum(_shared(box, other) for other in taken) for box in boxes]
        best = covered.index(min(covered))
        taken.append(boxes[best])
        panel.annotate(
            mark.text,
            (mark.x, mark.y),
            xytext=PLACES[best],
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SIZE,
            color=mark.color,
        )


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _shared(one: tuple, other: tuple) -> float:
    """Area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
