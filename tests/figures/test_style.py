"""What every figure shares."""

import pytest

from deepcache.figures.style import add_legend, plt

LABELS = ["fewer steps", "uniform, hold (paper)", "uniform, line", "whole output, hold", "whole output, forecast"]


def legend(width: float, labels: list[str]):
    figure = plt.figure(figsize=(width, 3), layout="constrained")
    panel = figure.subplots()
    add_legend(figure, {label: panel.plot([0, 1], label=label)[0] for label in labels})
    figure.draw_without_rendering()
    (found,) = figure.legends
    plt.close(figure)
    assert [text.get_text() for text in found.get_texts()] == labels
    return found, found.get_window_extent(), figure.bbox


@pytest.mark.parametrize(("width", "columns"), [(12, 5), (7, 3), (5.5, 2), (2, 1)])
def test_a_legend_is_as_wide_as_its_figure_allows(width, columns):
    found, extent, figure = legend(width, LABELS)
    assert found._ncols == columns
    assert figure.x0 <= extent.x0 and extent.x1 <= figure.x1


def test_a_label_that_is_wider_than_its_figure_has_a_row_of_its_own():
    found, _, _ = legend(1, LABELS)
    assert found._ncols == 1


def test_a_figure_without_lines_has_no_legend():
    figure = plt.figure(figsize=(3, 3))
    add_legend(figure, {})
    assert not figure.legends
    plt.close(figure)
