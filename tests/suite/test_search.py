"""Searches by successive halving: who gets how many images."""

import json

import pytest

from deepcache.errors import DeepCacheError
from deepcache.results.screening import screen
from deepcache.suite.layout import table_layout
from deepcache.suite.search import ranked, screenings, settle
from tests.suites import read_suite


@pytest.mark.parametrize(
    ("count", "model", "rounds"),
    [
        (6, {"samples": 50000, "screened": 1000}, [(1000, 3), (2000, 2)]),
        (9, {"samples": 1632, "screened": 204}, [(204, 5), (408, 3), (816, 2)]),
        (6, {"samples": 3000, "screened": 2000}, [(2000, 3)]),
        (6, {"samples": 96, "screened": 96}, []),
        (6, {"samples": 96}, []),
        (2, {"samples": 96, "screened": 8}, []),
    ],
)
def test_the_better_half_gets_twice_as_many_images_until_two_are_left_or_all_images_are_made(count, model, rounds):
    assert [(one["images"], one["keep"]) for one in screenings(count, model)] == rounds


def test_candidates_are_ranked_by_what_is_better():
    scores = {"a": 3.0, "b": None, "c": 2.0, "d": 3.0}
    assert ranked(scores, "fid") == ["c", "a", "d", "b"]
    assert ranked(scores, "clip_score") == ["a", "d", "c", "b"]


RUN = "model/ddim-10/nonuniform-n3-c{}-p1.4-b1/seed-0"


def scored(root, fids, images=4):
    """Metrics of the first images of a candidate for each FID."""
    files = []
    for i, fid in enumerate(fids):
        folder = root / "results/suite" / RUN.format(i)
        folder.mkdir(parents=True)
        found = {"fid": fid, "images": images, "run": f"results/suite/{RUN.format(i)}/run-4.json"}
        (folder / "metrics-4.json").write_text(json.dumps(found), encoding="utf-8")
        files.append(folder / "metrics-4.json")
    return files


def test_a_round_keeps_the_best(tmp_path):
    found = screen(scored(tmp_path, [3.0, 1.0, None, 2.0]), "fid", 4, 2)
    assert found["kept"] == [RUN.format(1), RUN.format(3)]
    assert found["scores"] == dict(zip(map(RUN.format, range(4)), (3.0, 1.0, None, 2.0), strict=True))


def test_candidates_are_not_compared_on_other_numbers_of_images(tmp_path):
    files = scored(tmp_path, [3.0, 1.0], images=8)
    with pytest.raises(DeepCacheError, match=r"metrics-4.json: is of 8 images, not of the 4 on which"):
        screen(files, "fid", 4, 1)
    with pytest.raises(DeepCacheError, match=r"metrics-4.json: cannot be read \(KeyError\('clip_score'\)\); delete it"):
        screen(files, "clip_score", 8, 1)


@pytest.fixture
def layout():
    config = read_suite()
    config["models"]["digits-ldm"]["screened"] = 24
    return table_layout(config, "table9")


def test_a_layout_says_where_its_screenings_stand(layout):
    row = layout["rows"][0]
    assert len(row["candidates"]) == 6, "which of them get all images is not known yet"
    assert row["screenings"] == [
        {"file": "searches/table9-00/first-24.json", "images": 24, "keep": 3},
        {"file": "searches/table9-00/first-48.json", "images": 48, "keep": 2},
    ]


def test_a_settled_layout_has_the_last_candidates_in_their_order(layout, tmp_path):
    for i, row in enumerate(layout["rows"]):
        path = tmp_path / row["screenings"][-1]["file"]
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"kept": [row["candidates"][i], row["candidates"][0]]}), encoding="utf-8")
    rows = settle(layout, tmp_path)["rows"]
    assert rows[3]["candidates"] == [layout["rows"][3]["candidates"][0], layout["rows"][3]["candidates"][3]]
    path.write_text('{"kept": ["model/ddim-10/full/seed-0"]}', encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"first-48.json: keeps model/ddim-10/full/seed-0, which is no candidate"):
        settle(layout, tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"first-48.json: no readable screening .*; delete it and run again"):
        settle(layout, tmp_path)


def test_without_screenings_nothing_is_read(tmp_path):
    layout = table_layout(read_suite(), "table9")
    assert settle(layout, tmp_path / "nowhere") == layout
