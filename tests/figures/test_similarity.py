"""Figures 2 and 4: what is drawn where."""

import numpy as np
import pytest

from deepcache.figures.branches import BranchCosts, draw_branches
from deepcache.figures.similarity import Recorded, draw_similarity


def test_maps_matrix_and_share():
    rng = np.random.default_rng(0)
    matrix = np.array([[1.0, 0.96, 0.2, 0.1], [0.96, 1.0, 0.97, 0.3], [0.2, 0.97, 1.0, 0.4], [0.1, 0.3, 0.4, 1.0]])
    maps = rng.random((4, 5, 6))
    figure = draw_similarity("Title", [Recorded("model", matrix, maps)] * 2, 0.95)
    first, second, third, heat, share = figure.axes[:5]
    assert first.get_ylabel() == "model"
    assert [axes.get_title() for axes in (first, second, third)] == ["step 0", "step 1", "step 2"]
    assert np.array_equal(second.get_images()[0].get_array(), maps[1])
    assert np.array_equal(heat.get_images()[0].get_array(), matrix)
    assert share.get_lines()[0].get_ydata() == pytest.approx([100 / 3, 200 / 3, 100 / 3, 0])
    assert len([axes for axes in figure.axes if axes.get_title() == "cosine similarity"]) == 2


def test_fewer_steps_than_maps():
    figure = draw_similarity("Title", [Recorded("model", np.eye(2), np.ones((2, 3, 3)))], 0.95)
    assert not figure.axes[2].axison


def test_branches_count_from_one_and_the_papers_stands_out():
    figure = draw_branches("Title", [BranchCosts("A", 10.0, [1.0, 2.0, 3.0], 1)])
    (axes,) = figure.axes
    assert [round(bar.get_x() + bar.get_width() / 2, 6) for bar in axes.patches] == [1, 2, 3]
    assert [bar.get_height() for bar in axes.patches] == [1.0, 2.0, 3.0]
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert colours[0] == colours[2] != colours[1]
    assert axes.get_lines()[0].get_ydata()[0] == 10.0
