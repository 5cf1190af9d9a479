"""Curves out of tables."""

import pandas as pd
import pytest

from deepcache.figures.curves import choose_rows, draw_curves

X, Y = {"column": "speed", "label": "times faster"}, {"label": "CLIP score"}
SERIES = [
    {"label": "PLMS", "where": {"method": "PLMS"}, "y": "clip", "mark": "steps"},
    {"label": "DeepCache", "where": {"method": "DeepCache"}, "y": "clip"},
]


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": ["PLMS", "PLMS", "DeepCache"],
            "steps": [50, 25, 50],
            "speed": [1.0, 2.0, 2.5],
            "speed_paper": [1.0, 2.1, 2.2],
            "clip": [29.0, 28.0, 28.5],
            "clip_paper": [29.5, None, 29.4],
            "clip_change": [None, -1.0, -0.5],
            "clip_change_low": [None, -1.5, -0.6],
            "clip_change_high": [None, -0.9, -0.4],
        }
    )


def test_ours_above_the_papers(table):
    figure = draw_curves("Title", [("a", "A", table)], X, Y, SERIES)
    ours, paper = figure.axes
    assert (ours.get_title(), paper.get_title()) == ("ours: a", "paper: A")
    assert (ours.get_xlabel(), ours.get_ylabel()) == ("times faster", "CLIP score")
    assert ours.get_lines()[0].get_xydata().tolist() == [[1.0, 29.0], [2.0, 28.0]]
    assert paper.get_lines()[0].get_xydata().tolist() == [[1.0, 29.5]], "the row without a published value is left out"
    assert [text.get_text() for text in ours.texts] == ["50", "25"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["PLMS", "DeepCache"]


def test_ours_stand_alone_where_the_paper_has_no_such_table(table):
    ours = table.drop(columns=["speed_paper", "clip_paper"])
    figure = draw_curves("Title", [("a", "A", ours), ("b", "B", choose_rows(ours, {"steps": 50}))], X, Y, SERIES)
    assert [panel.get_title() for panel in figure.axes] == ["a", "b"]
    assert [len(panel.get_lines()[0].get_xydata()) for panel in figure.axes] == [2, 1]


def test_bars_are_the_intervals_of_the_change(table):
    bars = draw_curves("Title", [("a", "A", table)], X, Y, SERIES).axes[0].containers[0].lines[2][0]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[29.0, 29.0], [27.5, pytest.approx(28.1)]]


def test_a_panel_without_values_says_so(table):
    empty = table.drop(columns=["clip_paper"])
    assert [text.get_text() for text in draw_curves("Title", [("a", "A", empty)], X, Y, SERIES).axes[1].texts] == [
        "no values"
    ]
