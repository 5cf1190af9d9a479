"""Marks beside points that lie near each other."""

import itertools

import pytest

from deepcache.figures.marks import Mark, place_marks
from deepcache.figures.style import plt


@pytest.fixture
def panel():
    figure, panel = plt.subplots(figsize=(4, 3))
    yield panel
    plt.close(figure)


def test_marks_cover_neither_each_other_nor_the_points(panel):
    points = [(0.50, 0.50), (0.51, 0.50), (0.52, 0.51), (0.55, 0.50), (0.0, 0.0), (1.0, 1.0)]
    panel.plot(*zip(*points, strict=True), "o", markersize=4)
    panel.margins(0.1)
    panel.figure.canvas.draw()
    place_marks(panel, [Mark(str(10 + i), x, y, "C0") for i, (x, y) in enumerate(points)])
    assert [text.get_text() for text in panel.texts] == ["10", "11", "12", "13", "14", "15"]
    boxes = [text.get_window_extent() for text in panel.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    places = [panel.transData.transform(point) for point in points]
    assert not any(box.contains(*place) for box in boxes for place in places)


def test_a_mark_stands_above_a_point_that_is_alone(panel):
    panel.plot([0, 1], [0, 1], "o")
    panel.figure.canvas.draw()
    place_marks(panel, [Mark("5", 0, 0, "C1")])
    (text,) = panel.texts
    assert text.get_color() == "C1" and text.xyann == (0, 8)
