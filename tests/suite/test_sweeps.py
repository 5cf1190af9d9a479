"""Rows that stand for several."""

import pytest

from deepcache.errors import KeyedError
from deepcache.suite.sweeps import spell_out


def rows(*given) -> list[dict]:
    return spell_out({"suite": "s", "tables": {"t": {"title": "T", "rows": list(given)}}})["tables"]["t"]["rows"]


def test_values_keep_their_types_and_texts_take_them_in():
    row = {
        "for": {"n": [2, 10], "p": [1.05, 1.4]},
        "labels": {"method": "N={n}", "interval": "{n}"},
        "runs": {"ours": {"interval": "{n}", "power": "{p}", "sampler": "ddim-{n}-cfg{p}"}},
    }
    assert rows(row, {"labels": {"method": "{n}"}}) == [
        {
            "labels": {"method": "N=2", "interval": 2},
            "runs": {"ours": {"interval": 2, "power": 1.05, "sampler": "ddim-2-cfg1.05"}},
        },
        {
            "labels": {"method": "N=10", "interval": 10},
            "runs": {"ours": {"interval": 10, "power": 1.4, "sampler": "ddim-10-cfg1.4"}},
        },
        {"labels": {"method": "{n}"}},
    ]


def test_values_stand_within_lists_too():
    assert rows({"for": {"n": [1]}, "labels": {"a": "{n} {", "b": ["{n}"]}}) == [{"labels": {"a": "1 {", "b": [1]}}]


@pytest.mark.parametrize(
    ("swept", "problem"),
    [
        ([2, 3], "must list the values of each name, such as {interval: [2, 3, 5]}"),
        ({}, "must list the values of each name"),
        ({"n": 2}, "must list the values of each name"),
        ({"n": []}, "lists no value"),
        ({"m": [1]}, "lists no values of {n}, which stands in the row"),
        ({"n": [1, 2], "m": [1]}, "must list as many values of one name as of another"),
        ({"n": [1], "m": [1]}, "{m} stands nowhere in the row"),
    ],
)
def test_a_mistake_is_named(swept, problem):
    with pytest.raises(KeyedError) as raised:
        rows({"labels": {}}, {"for": swept, "labels": {"n": "{n}"}})
    assert raised.value.key == "tables.t.rows[1].for"
    assert raised.value.problem.startswith(problem)


@pytest.mark.parametrize("tables", [None, [], {"t": None}, {"t": {"rows": 3}}, {"t": {"rows": [3]}}])
def test_what_is_no_table_is_left_to_the_schema(tables):
    assert spell_out({"tables": tables}) == {"tables": tables}
