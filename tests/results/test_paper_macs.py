"""MACs of the paper's models against those that it printed."""

import csv
import io
import json
import math
from pathlib import Path

import pytest

from deepcache.cost.macs import count_ops_and_params
from deepcache.errors import DeepCacheError
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.paper import ARCHITECTURES
from deepcache.results.differences import check_all_touch, read_differences, warnings_of
from deepcache.results.paper_cells import paper_cells
from deepcache.results.paper_macs import compare_macs, macs_csv, macs_markdown
from deepcache.results.published_macs import published_cells

PUBLISHED = Path(__file__).resolve().parents[2] / "config/published"


@pytest.fixture(scope="module")
def text() -> str:
    """The CSV file."""
    compared = compare_macs(published_cells(PUBLISHED))
    assert len(macs_markdown(compared).splitlines()) == 2 + 49
    return macs_csv(compared)


@pytest.fixture
def rows(text) -> list[dict]:
    """Its rows."""
    return list(csv.DictReader(io.StringIO(text)))


def test_every_cell_of_the_paper_is_there_and_agrees(rows):
    columns = ["table", "model", "method", "branch", "interval", "macs_g", "macs_g_paper", "rel_error"]
    columns += ["macs_g_authors", "note"]
    assert list(rows[0]) == columns
    assert {table: sum(row["table"] == table for row in rows) for table in ("1", "2", "3", "12")} == {
        "1": 9,
        "2": 16,
        "3": 12,
        "12": 12,
    }
    assert len({(row["table"], row["model"], row["method"]) for row in rows}) == len(rows) == 49
    for row in rows:
        error = float(row["macs_g"]) / float(row["macs_g_paper"]) - 1
        assert float(row["rel_error"]) == pytest.approx(error, abs=2e-5)
        assert (abs(error) <= 0.005) == (row["note"] == ""), row
    noted = {(row["table"], row["method"]) for row in rows if row["note"]}
    assert noted == {
        ("2", "DDPM"),
        ("2", "DDPM*"),
        ("3", "DeepCache N=5 (PartiPrompts)"),
        ("3", "DeepCache N=5 (COCO2017)"),
        ("12", "skip branch 7"),
        ("12", "skip branch 8"),
    }


PASSES = {  # G MACs of a full pass, of the shallow pass of the paper's branch
    "ddpm-cifar10": (6.05, 2.24),
    "ddpm-lsun-bedroom": (248.17, 132.52),
    "ddpm-lsun-churches": (248.17, 132.52),
    "ldm4g-imagenet": (99.77, 4.42),
    "sd-v1-5": (338.61, 57.25),
    "bk-sdm-base": (223.67, None),
    "bk-sdm-small": (217.65, None),
    "bk-sdm-tiny": (204.95, None),
}


def test_passes_of_the_papers_models(rows):
    assert list(PASSES) == list(ARCHITECTURES)
    for model, (full, shallow) in PASSES.items():
        known = ARCHITECTURES[model]
        assert (known.branch is None) == (shallow is None)
        for row in rows:
            if row["model"] == model and row["interval"] == "1":
                scale = 0.5 if "25 steps" in row["method"] else 1
                assert float(row["macs_g"]) == pytest.approx(full * scale, abs=0.0051)
            elif row["model"] == model and row["branch"] == str(known.branch):
                full_steps = math.ceil(known.steps / int(row["interval"])) / known.steps
                expected = full * full_steps + shallow * (1 - full_steps)
                assert float(row["macs_g"]) == pytest.approx(expected, abs=0.0051)


def test_notes_are_true(rows):
    stable_diffusion = next(row for row in rows if row["method"] == "DeepCache N=5 (COCO2017)")
    assert "78.4 G" in stable_diffusion["note"]
    unet = ARCHITECTURES["ddpm-cifar10"].build()
    by_module = count_ops_and_params(unet, dummy_inputs(unet, 1, None, "meta"), layer_wise=True)[2]
    upsampler = by_module["up_blocks.1.upsamplers.0"] / 1e9
    for row in rows:
        if row["table"] == "12" and row["note"]:
            without = float(row["macs_g"]) - upsampler * 4 / 5
            assert without == pytest.approx(float(row["macs_g_paper"]), rel=0.005)
        if row["table"] == "2" and row["note"]:
            assert f"{float(row['macs_g']):.1f}" == row["macs_g_paper"]


STANDARD = {"comparable": False, "reason": "not run", "tolerances": {"macs_g": {"relative": 0.005}}}


def test_numbers_that_a_difference_touches_are_warned_of(text, tmp_path):
    (tmp_path / "macs.csv").write_text(text, encoding="utf-8")
    cells = paper_cells(PUBLISHED, [], tmp_path / "macs.csv", STANDARD).set_index(["table", "row", "column"])
    assert "reference images of LSUN" in cells.loc[(2, "dataset=LSUN-Bedroom, method=DDPM*, interval=1", "fid")].warning
    nonuniform = cells.loc[(11, "schedule=nonuniform, interval=20", "precision")].warning
    assert "float16" in nonuniform and "inferred from Table 7" in nonuniform and "Eq. 7" in nonuniform
    assert cells.loc[(2, "dataset=CIFAR-10, method=N=5, interval=5", "macs_g")].isna().warning
    assert 100 < cells["warning"].notna().sum() < len(cells)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": ["fids"]}, "touches no number of the paper"),
        ({"rows": "dataset=MNIST"}, "touches no number of the paper"),
        ({"rows": "("}, "cannot be read as a list of differences"),
        ({"table": "two"}, "cannot be read as a list of differences"),
    ],
)
def test_a_misspelt_difference_is_refused(tmp_path, change, said):
    entry = {"table": 2, "rows": "dataset=LSUN", "columns": ["fid"], **change}
    (tmp_path / "differences.yaml").write_text(json.dumps([{"warning": "unknown", "cells": [entry]}]), encoding="utf-8")
    cells = [(2, "dataset=LSUN-Bedroom, method=DDPM", "fid")]
    with pytest.raises(DeepCacheError, match=said):
        check_all_touch(read_differences(tmp_path), cells)
    assert warnings_of(read_differences(PUBLISHED), *cells[0]) == "the reference images of LSUN are not published"


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DeepCacheError, match="table01_imagenet_ldm4g"):
        published_cells(tmp_path)
