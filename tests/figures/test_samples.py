"""Pictures of samples: what stands where."""

import numpy as np
import pytest

from deepcache.figures.samples import Samples, draw_columns, draw_rows
from deepcache.figures.style import save


@pytest.fixture
def methods() -> list[Samples]:
    rng = np.random.default_rng(0)
    return [
        Samples(label, rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8), caption)
        for label, caption in (("full", "1 s"), ("cached", "0.5 s"))
    ]


def shown(figure) -> list[list[np.ndarray]]:
    """The images, row by row."""
    axes = np.array(figure.axes)
    columns = axes[0].get_subplotspec().get_gridspec().ncols
    return [[one.get_images()[0].get_array() for one in row] for row in axes.reshape(-1, columns)]


def test_a_row_for_each_method(methods):
    figure = draw_rows("Title", methods)
    rows = shown(figure)
    assert (len(rows), len(rows[0])) == (2, 3)
    assert np.array_equal(rows[1][2], methods[1].images[2])
    assert [figure.axes[0].get_ylabel(), figure.axes[3].get_ylabel()] == ["full", "cached"]


def test_a_column_for_each_method_with_prompts_and_captions(methods, tmp_path):
    prompts = ["a seven", "a very long prompt " * 20, "three"]
    figure = draw_columns("Title", methods, prompts)
    rows = shown(figure)
    assert (len(rows), len(rows[0])) == (3, 2)
    assert np.array_equal(rows[2][1], methods[1].images[2])
    assert [axes.get_title() for axes in figure.axes[:2]] == ["full", "cached"]
    assert [axes.get_xlabel() for axes in figure.axes[-2:]] == ["1 s", "0.5 s"]
    assert figure.axes[0].get_ylabel() == "a seven"
    assert figure.axes[2].get_ylabel().endswith("...")
    save(figure, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_pictures_that_samples_start_from_have_a_column_of_their_own(methods):
    """Samples that are tall, as film strips are, stay so."""
    tall = [Samples(one.label, np.concatenate([one.images] * 4, axis=1)) for one in methods]
    pictures = [np.full((6, 10, 3), shade, np.uint8) for shade in (10, 20, 30)]
    figure = draw_columns("Title", tall, pictures)
    rows = shown(figure)
    assert (len(rows), len(rows[0])) == (3, 3)
    assert np.array_equal(rows[2][0], pictures[2]) and np.array_equal(rows[2][1], tall[0].images[2])
    assert [axes.get_title() for axes in figure.axes[:3]] == ["", "full", "cached"]
    width, height = figure.get_size_inches()
    assert height > 2 * width
