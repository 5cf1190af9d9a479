"""What a suite will cost, against a computation by hand."""

import pandas as pd
import pytest

from deepcache.suite.estimate import Shape, estimate, rates_in_words

HOME = {"checkpoint": "home", "sampler": "ddim-10", "samples": 4, "seeds": [0, 1], "reference": "scans"}
AWAY = {
    "checkpoint": "away",
    "sampler": "ddim-10-cfg2",
    "samples": 100,
    "seeds": [0],
    "reference": "photos",
    "prompts": "words",
}


def table(model, *rows):
    """A table of FIDs; each row is a run."""
    rows = [{"labels": {"row": i}, "runs": {"ours": run}} for i, run in enumerate(rows)]
    layout = {"title": "", "note": "", "published": {}, "model": model, "branch": 1, "columns": ["fid"], "rows": rows}
    return layout


CONFIG = {
    "models": {"home": HOME, "away": AWAY},
    "checkpoints": {
        "home": {"source": "shipped"},
        "away": {"source": "url", "convert": "ldm"},
        "eyes": {"source": "hub", "download_gb": 0.1},
    },
    "datasets": {
        "photos": {"source": "url", "download_gb": 3, "unpack": True},
        "words": {"source": "local"},
        "scans": {"source": "bundled"},
    },
    "references": {
        "photos": {"dataset": "photos", "weights": "eyes", "extractor": "wide"},
        "scans": {"dataset": "scans", "weights": "home", "extractor": "narrow"},
    },
    "sample_grids": {"fig5": {"images": 3}},
    "estimate": {"tflops": 2},
    "diversity": {
        "models": ["home"],
        "seeds": [0, 1, 2],
        "methods": [{"interval": 1}, {"interval": 5, "branch": 1}],
        "prompts": 2,
    },
    "tables": {
        "table1": table("home", {"interval": 1}, {"interval": 5}),
        "table2": table("away", {"interval": 2}),
        "table3": table("home", {"interval": 5}, {"interval": 2, "branch": 0}),
    },
}


WIDTHS = {"wide": 10, "narrow": 5}.__getitem__


def count(name, branches):
    count.asked.append((name, branches))
    return Shape(10.0, {0: 1.0, 1: 2.0}, 1000, 0.5)


@pytest.fixture
def planned() -> pd.DataFrame:
    count.asked = []
    return estimate(CONFIG, count, WIDTHS).set_index("table")


def test_images_and_macs(planned):
    assert planned["runs"].tolist() == [4, 1, 4, 6, 9], "two seeds of two rows; Tables 1 and 3 share a row"
    assert planned["images"].tolist() == [16, 100, 16, 24, 132]
    full, five, two = 10 * 10, 2 * 10 + 8 * 2, 5 * 10 + 5 * 2
    assert planned.loc["table1", "petamacs"] == pytest.approx(8 * (full + five) / 1e6)
    assert planned.loc["table2", "petamacs"] == pytest.approx(100 * 2 * two / 1e6), "guidance takes two passes"
    assert planned.loc["table2", "hours"] == pytest.approx(2 * 100 * 2 * two * 1e9 / 2e12 / 3600)
    shallow = 5 * 10 + 5 * 1
    assert planned.loc["all", "petamacs"] == pytest.approx(
        (8 * (full + five + shallow) + 4 * (full + five) + 200 * two) / 1e6
    )


def test_downloads_and_what_lies_on_the_disk_in_any_case(planned):
    assert planned["download_gb"].tolist() == pytest.approx([0, 0.5 + 0.1 + 3, 0, 0, 3.6])
    kept = 2 * 0.5 + 0.1 + 2 * 3  # converted and unpacked beside what was downloaded
    assert planned["inputs_gb"].tolist() == pytest.approx([0, kept, 0, 0, kept])


def test_samples_on_the_disk_kept_and_temporary(planned):
    # 1000 bytes an image; features in float32, of runs with an FID: 5 numbers at home, 10 away.
    features = [16 * 20, 100 * 40, 16 * 20, 0, 24 * 20 + 100 * 40]
    samples = [16e3, 100e3, 16e3, 24e3, 132e3]
    expected = [(one + other) / 1e9 for one, other in zip(features, samples, strict=True)]
    assert planned["kept_gb"].tolist() == pytest.approx(expected)
    # Temporary: 4 images of each run at home and 16 of the one away, and one run, or the seeds that are read together.
    first, in_flight = [16e3, 16e3, 16e3, 24e3, 32e3 + 16e3], [4e3, 100e3, 4e3, 3 * 4e3, 100e3]
    expected = [sum(one) / 1e9 for one in zip(features, first, in_flight, strict=True)]
    assert planned["temporary_gb"].tolist() == pytest.approx(expected)


def test_what_others_are_compared_with_stays():
    compared = table("home", {"interval": 1}, {"interval": 5}, {"interval": 5, "sampler": "ddim-5"})
    config = {**CONFIG, "tables": {"table1": {**compared, "columns": ["psnr_db"]}}}
    found = estimate(config, count, WIDTHS).set_index("table").loc["table1"]
    # Two seeds of three runs; both seeds of the uncached one at 10 steps stay. At 5 steps it is no row of the table.
    assert found["temporary_gb"] == pytest.approx((6 * 4e3 + 2 * 4e3 + 4e3) / 1e9)


def test_a_rate_by_checkpoint(planned):
    config = {**CONFIG, "estimate": {"tflops": {"default": 1, "away": 2}}}
    found = estimate(config, count, WIDTHS).set_index("table")["hours"]
    expected = planned["hours"] * 2
    assert found[["table1", "table3", "diversity"]].tolist() == pytest.approx(
        expected[["table1", "table3", "diversity"]].tolist()
    )
    assert found["table2"] == pytest.approx(planned.loc["table2", "hours"])
    assert found["all"] == pytest.approx(expected["all"] - planned.loc["table2", "hours"])
    assert rates_in_words(config) == "2 (away), else 1" and rates_in_words(CONFIG) == "2"


def searching(**model) -> dict:
    """Six candidates, one of which another table has as well."""
    search = {"interval": 5, "centers": [2, 3, 4], "powers": [1.2, 1.4]}
    shared = {"interval": 5, "schedule": "nonuniform", "center": 3, "power": 1.2}
    found = table("home")
    found["rows"] = [{"labels": {"row": 0}, "search": search}]
    tables = {"table1": table("home", shared), "table2": found}
    return {**CONFIG, "models": {**CONFIG["models"], "home": {**HOME, **model}}, "tables": tables}


def test_of_a_search_by_halving_the_most_is_counted():
    config = searching(samples=40, shard_size=4, screened=6)
    found = estimate(config, count, WIDTHS).set_index("table")
    # Whole shards: 8 images of six, 12 of three, 40 of two; the shared run is among the first to go.
    assert found.loc["table2", ["runs", "images"]].tolist() == [6, 3 * 8 + 12 + 2 * 40]
    assert found.loc["all", "images"] == 2 * 40 + 2 * 8 + 12 + 2 * 40 + 6 * 40, "two seeds of Table 1, the diversity"
    every = estimate(searching(samples=40, shard_size=4), count, WIDTHS).set_index("table")
    assert every.loc["table2", ["runs", "images"]].tolist() == [6, 6 * 40]
    # On the disk: all that the search samples, 16 images of each run, features of the last two.
    assert found.loc["table2", "temporary_gb"] == pytest.approx((116e3 + 6 * 16e3 + 2 * 40 * 20) / 1e9)
    share = found.loc["table2", "images"] / every.loc["table2", "images"]
    assert found.loc["table2", "petamacs"] == pytest.approx(share * every.loc["table2", "petamacs"])
    assert found.loc["table2", "hours"] == pytest.approx(share * every.loc["table2", "hours"])


def test_only_branches_in_use_are_counted(planned):
    assert count.asked == [("home", {0, 1}), ("away", {1})]
