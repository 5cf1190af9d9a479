import json
import statistics

import pandas as pd
import pytest

from deepcache import DeepCacheError
from deepcache.results.markdown import to_markdown
from deepcache.results.tables import build_table
from deepcache.suite.layout import fidelity_runs, paired_runs

FULL, CACHED = "model/ddim-10/full/seed-{}", "model/ddim-10/uniform-n3-b1/seed-{}"
LAYOUT = {
    "name": "table2",
    "title": "Title",
    "note": "A note.",
    "steps": 10,
    "prompted": ["tiny-sd"],
    "against": {},
    "timing": {"models": {}, "group": "model"},
    "published": {"file": "paper.csv", "where": {"dataset": "A"}, "key": ["method"]},
    "columns": [
        *({"name": name, "run": "ours", "value": name} for name in ("macs_g", "throughput", "speed", "fid")),
        {"name": "excess", "minus": ["fid", "speed"]},
    ],
    "rows": [
        {"labels": {"method": "quoted"}, "runs": {}, "candidates": [], "by": "fid"},
        {
            "labels": {"method": "full"},
            "runs": {"ours": [FULL.format(0), FULL.format(1)]},
            "candidates": [],
            "by": "fid",
        },
        {
            "labels": {"method": "cached"},
            "runs": {"ours": [CACHED.format(0), CACHED.format(1)]},
            "candidates": [],
            "by": "fid",
        },
    ],
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "paper.csv", "dataset,method,fid,speed\nA,quoted,9,\nA,full,4,1\nA,cached,5,2.5\nB,full,70,1\n")
    write(tmp_path / "macs/model.json", {"full_g": 10.0, "shallow_g": {"1": 2.0}})
    variants = {
        "model/ddim-10/full": {"throughput": 2.0, "seconds": [1.0, 2.0, 3.0]},
        "model/ddim-10/uniform-n3-b1": {"throughput": 5.0, "seconds": [0.5, 0.8, 1.0]},
    }
    write(tmp_path / "timing/model.json", {"variants": variants})
    for pattern, fids in ((FULL, (6.0, 8.0)), (CACHED, (10.0, 14.0))):
        for seed, fid in enumerate(fids):
            write(tmp_path / pattern.format(seed) / "metrics.json", {"fid": fid, "images": 16})
            write(tmp_path / pattern.format(seed) / "run.json", {"images": 16, "devices": ["A CPU"], "weights": "hub"})
    return tmp_path


def test_every_cell(root):
    table = build_table(LAYOUT, root, root).set_index("method")
    cached = table.loc["cached"]
    assert cached["macs_g"] == pytest.approx((4 * 10 + 6 * 2) / 10)  # steps 0, 3, 6, 9 of ten are full
    assert (cached["throughput"], cached["speed"]) == (5.0, 2.5)
    assert (cached["fid"], cached["fid_paper"], cached["fid_delta"]) == (12.0, 5.0, 7.0)
    assert cached["excess"] == 12.0 - 2.5
    assert table.loc["full", "macs_g"] == 10.0
    assert (cached["images"], cached["seeds"], cached["device"]) == (16, 2, "A CPU")
    assert cached["runs"].split("; ") == [str(root / CACHED.format(seed) / "run.json") for seed in (0, 1)]


def test_columns_that_the_paper_prints_stand_in_threes(root):
    columns = list(build_table(LAYOUT, root, root).columns)
    measured = [
        "macs_g",
        "throughput",
        "speed",
        "speed_paper",
        "speed_delta",
        "fid",
        "fid_paper",
        "fid_delta",
        "excess",
    ]
    assert columns == ["method", *measured, "images", "seeds", "device", "weights", "undefined", "runs"]


def test_quoted_rows_have_the_paper_alone(root):
    row = build_table(LAYOUT, root, root).set_index("method").loc["quoted"]
    assert row["fid_paper"] == 9
    assert row.drop(["fid_paper"]).isna().all()


def test_counts_stay_integers_on_disk(root):
    build_table(LAYOUT, root, root).to_csv(root / "out.csv", index=False)
    assert pd.read_csv(root / "out.csv", dtype=str)["images"].tolist()[1:] == ["16", "16"]


def test_different_numbers_of_images_are_refused(root):
    write(root / FULL.format(1) / "metrics.json", {"fid": 8.0, "images": 32})
    with pytest.raises(DeepCacheError, match=r"FID depends on the number of images, but its runs have \[16, 32\]"):
        build_table(LAYOUT, root, root)


def test_a_missing_result_is_named(root):
    (root / "macs/model.json").write_text("{", encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"macs/model.json: cannot be read"):
        build_table(LAYOUT, root, root)


def test_a_row_must_be_among_the_published(root):
    layout = {**LAYOUT, "rows": [{"labels": {"method": "fulll"}, "runs": {}, "candidates": [], "by": "fid"}]}
    with pytest.raises(DeepCacheError, match=r"table2: 0 rows of paper\.csv have method=fulll"):
        build_table(layout, root, root)


def test_a_row_beyond_the_paper_has_ours_alone(root):
    (mine,) = (row for row in LAYOUT["rows"] if row["labels"]["method"] == "cached")
    layout = {**LAYOUT, "rows": [mine, {**mine, "labels": {"method": "chosen"}, "beyond": True}]}
    table = build_table(layout, root, root).set_index("method")
    assert table["fid"].tolist() == [12.0, 12.0]
    assert table["fid_paper"].isna().tolist() == table["fid_delta"].isna().tolist() == [False, True]


def test_a_published_window_and_whether_ours_lies_in_it(root):
    write(root / "window.csv", "model,images,fid_from,fid_to,speed_from,speed_to\nX,16,7,9.5,,\nY,5000,7,9.5,1,2\n")
    rows = [{**row, "labels": {"model": "X", **row["labels"]}} for row in LAYOUT["rows"]]
    layout = {**LAYOUT, "published": {"file": "window.csv", "key": ["model"]}, "rows": rows}
    table = build_table(layout, root, root).set_index("method")
    assert table["fid"].tolist()[1:] == [7.0, 12.0]
    assert (table["fid_from"] == 7).all() and (table["fid_to"] == 9.5).all()
    assert pd.isna(table["fid_within"].iloc[0]) and table["fid_within"].tolist()[1:] == ["yes", "no"]
    assert table["speed_within"].isna().all() and not [name for name in table if name.endswith(("_paper", "_delta"))]
    text = to_markdown(table.reset_index(), layout)
    assert "`_from` and `_to`: the published window" in text and "as published" not in text
    for row in rows:
        row["labels"]["model"] = "Y"
    other = build_table(layout, root, root)
    assert other["fid_from"].notna().all() and other["fid_within"].isna().all(), "of another number of images"


def test_fewer_steps_count_over_the_tables_number_of_steps(root):
    layout = {**LAYOUT, "steps": 40}
    assert build_table(layout, root, root).set_index("method").loc["full", "macs_g"] == 10.0 * 10 / 40


PNDM = "model/pndm-10/{}/seed-0"


def test_every_call_of_pndm_counts(root):
    """10 steps, 19 calls; of these 0, 3, ... 18 are full."""
    rows = []
    for name, method in (("full", "full"), ("cached", "uniform-n3-b1")):
        path = PNDM.format(method)
        write(root / path / "run.json", {"images": 16, "devices": ["A CPU"], "weights": "hub"})
        rows.append({"labels": {"method": name}, "runs": {"ours": [path]}, "candidates": [], "by": "fid"})
    columns = [{"name": "macs_g", "run": "ours", "value": "macs_g"}]
    table = build_table({**LAYOUT, "columns": columns, "rows": rows}, root, root).set_index("method")
    assert table.loc["full", "macs_g"] == pytest.approx(19 * 10 / 10)
    assert table.loc["cached", "macs_g"] == pytest.approx((7 * 10 + 12 * 2) / 10)


def test_times_and_memory_of_a_table_that_the_paper_has_not(root):
    branch = {"bytes_cached": 4096, "peak_bytes": 3_000_000, "resident_bytes": None}
    none = {"bytes_cached": 0, "peak_bytes": 2_500_000, "resident_bytes": None}
    write(root / "memory/model.json", {"weights_bytes": 1_000_000, "uncached": none, "branches": {"1": branch}})
    names = ("seconds_per_image", "peak_memory_mb", "bytes_cached", "fid")
    columns = [{"name": name, "run": "ours", "value": name} for name in names]
    layout = {**LAYOUT, "published": None, "columns": columns, "rows": LAYOUT["rows"][1:]}
    table = build_table(layout, root, root)
    assert list(table.columns)[:5] == ["method", *names], "nothing published, no differences"
    full, cached = (row for _, row in table.iterrows())
    assert (full["seconds_per_image"], cached["seconds_per_image"]) == (0.5, 0.2)
    assert (full["peak_memory_mb"], cached["peak_memory_mb"]) == (3.5, 4.0)
    assert (full["bytes_cached"], cached["bytes_cached"]) == (0, 4096)
    text = to_markdown(table, layout)
    assert "| cached" in text and "_paper" not in text and "published" not in text


def test_speed_against_another_variant(root):
    layout = {**LAYOUT, "against": {"model/ddim-10/full": "model/ddim-10/uniform-n3-b1"}}
    table = build_table(layout, root, root).set_index("method")
    assert table.loc["full", "speed"] == pytest.approx(0.4)
    assert table.loc["cached", "speed"] == 2.5


def test_random_weights_are_said_first(root):
    for seed in (0, 1):
        sidecar = {"images": 16, "devices": ["A CPU"], "weights": "random"}
        write(root / CACHED.format(seed) / "run.json", sidecar)
    table = build_table(LAYOUT, root, root)
    assert table.set_index("method").loc[["full", "cached"], "weights"].tolist() == ["hub", "random"]
    assert to_markdown(table, LAYOUT).startswith("# Title\n\n**The weights are random: ")


def three_seeds(root, full, cached) -> dict:
    """The layout with a third seed, and these FIDs for the uncached and the cached run."""
    for pattern, fids in ((FULL, full), (CACHED, cached)):
        for seed, fid in enumerate(fids):
            write(root / pattern.format(seed) / "metrics.json", {"fid": fid, "images": 16})
            write(root / pattern.format(seed) / "run.json", {"images": 16, "devices": ["A CPU"], "weights": "hub"})
    rows = [
        {
            "labels": {"method": name},
            "runs": {"ours": [pattern.format(seed) for seed in range(3)]},
            "candidates": [],
            "by": "fid",
        }
        for name, pattern in (("full", FULL), ("cached", CACHED))
    ]
    return {**LAYOUT, "rows": rows}


def test_three_seeds_give_intervals_and_a_paired_change(root):
    layout = three_seeds(root, (6.0, 8.0, 10.0), (7.0, 9.5, 11.0))
    table = build_table(layout, root, root)
    cached = table.set_index("method").loc["cached"]
    t = 4.302652729911275  # Student's quantile, 0.975, two degrees of freedom
    changes = [1.0, 1.5, 1.0]
    assert cached["fid"] == pytest.approx(sum((7.0, 9.5, 11.0)) / 3)
    assert cached["fid_change"] == pytest.approx(sum(changes) / 3)
    margin = t * statistics.stdev(changes) / 3**0.5
    assert cached["fid_change_high"] - cached["fid_change"] == pytest.approx(margin)
    assert cached["fid_low"] == pytest.approx(cached["fid"] - t * statistics.stdev((7.0, 9.5, 11.0)) / 3**0.5)
    full = table.set_index("method").loc["full"]
    assert pd.isna(full["fid_change"]), "nothing to compare with but itself"
    text = to_markdown(table, layout)
    assert f"1.167 [{1.1666667 - margin:.4g}, {1.1666667 + margin:.4g}]" in text
    assert "fid_low" not in text


def test_one_seed_has_the_bootstraps_interval(root):
    change = {"fid_change": 4.0, "fid_change_low": 3.5, "fid_change_high": 4.5}
    write(root / CACHED.format(0) / "paired.json", change)
    rows = [
        {"labels": {"method": name}, "runs": {"ours": [pattern.format(0)]}, "candidates": [], "by": "fid"}
        for name, pattern in (("full", FULL), ("cached", CACHED))
    ]
    layout = {**LAYOUT, "rows": rows}
    assert [str(run.path) for run in paired_runs(layout)] == [CACHED.format(0)]
    table = build_table(layout, root, root).set_index("method")
    assert table.loc["cached", list(change)].tolist() == [4.0, 3.5, 4.5]
    assert pd.isna(table.loc["full", "fid_change"])
    assert "4 [3.5, 4.5]" in to_markdown(table.reset_index(), layout)


def test_two_seeds_have_no_interval(root):
    assert not [name for name in build_table(LAYOUT, root, root) if name.endswith(("_low", "_high", "_change"))]


def test_an_undefined_metric_is_said_and_not_nan(root):
    path = root / CACHED.format(0) / "metrics.json"
    write(path, {"fid": None, "images": 16, "undefined": {"fid": "fewer than two images"}})
    table = build_table(LAYOUT, root, root)
    assert pd.isna(table.set_index("method").loc["cached", "fid"])
    assert pd.isna(table.set_index("method").loc["cached", "excess"])
    assert table.set_index("method").loc["cached", "undefined"] == "fid: fewer than two images"
    assert "Undefined: fid: fewer than two images." in to_markdown(table, LAYOUT)


def test_a_search_shows_the_best_candidate(root):
    runs = {f"model/ddim-10/nonuniform-n3-c{c}-p1.4-b1/seed-0": fid for c, fid in ((2, 5.0), (4, 3.0), (6, None))}
    for path, fid in runs.items():
        write(root / path / "metrics.json", {"fid": fid, "images": 16})
        write(root / path / "run.json", {"images": 16, "devices": ["A CPU"], "weights": "hub"})
    columns = [{"name": name, "best": name} for name in ("center", "power", "fid")]
    rows = [{"labels": {"method": "cached"}, "runs": {}, "candidates": list(runs), "by": "fid"}]
    row = build_table({**LAYOUT, "columns": columns, "rows": rows}, root, root).iloc[0]
    assert (row["center"], row["power"], row["fid"], row["fid_paper"]) == (4, 1.4, 3.0, 5.0)
    assert row["seeds"] == 1
    assert len(row["runs"].split("; ")) == 3


TEXT, FEWER, OTHER = (f"{path}/seed-0" for path in ("sd/plms-50/full", "sd/plms-25/full", "sd/plms-50/uniform-n5-b1"))


def text_layout(root) -> dict:
    """A table of CLIP scores: 50 steps, 25 steps and caching, one seed."""
    write(root / "paper.csv", "method,clip_score\nfull,29.5\nfewer,29.3\ncached,29.4\n")
    for path, scores in ((TEXT, [30.0, 20.0, 10.0]), (FEWER, [29.0, 19.0, 9.0]), (OTHER, [31.0, 20.0, 8.0])):
        write(root / path / "clip_score.json", {"clip_score": sum(scores) / 3, "scores": scores, "images": 3})
        write(root / path / "run.json", {"images": 3, "devices": ["A CPU"], "weights": "hub"})
    write(root / OTHER / "paired_fidelity.json", {"psnr_db": 25.0, "psnr_db_low": 24.0, "psnr_db_high": 26.0})
    columns = [{"name": name, "run": "ours", "value": name} for name in ("clip_score", "psnr_db")]
    rows = [
        {"labels": {"method": name}, "runs": {"ours": [path]}, "candidates": [], "by": "fid"}
        for name, path in (("full", TEXT), ("fewer", FEWER), ("cached", OTHER))
    ]
    against = {"sd/plms-25/full": "sd/plms-50/full"}
    published = {"file": "paper.csv", "key": ["method"]}
    return {**LAYOUT, "published": published, "against": against, "columns": columns, "rows": rows}


def test_clip_scores_change_is_paired_by_image_with_what_the_row_is_measured_against(root):
    layout = text_layout(root)
    table = build_table(layout, root, root).set_index("method")
    assert table["clip_score"].tolist() == [20.0, 19.0, pytest.approx(59 / 3)]
    assert table.loc["full", "clip_score_delta"] == pytest.approx(20 - 29.5)
    assert pd.isna(table.loc["full", "clip_score_change"])
    assert table.loc["fewer", ["clip_score_change", "clip_score_change_low"]].tolist() == [-1.0, -1.0]
    changes = [1.0, 0.0, -2.0]
    margin = 4.302652729911275 * statistics.stdev(changes) / 3**0.5  # Student's quantile, two degrees of freedom
    assert table.loc["cached", "clip_score_change"] == pytest.approx(-1 / 3)
    assert table.loc["cached", "clip_score_change_high"] == pytest.approx(-1 / 3 + margin)


def test_paired_fidelity_is_that_of_cached_runs_alone(root):
    layout = text_layout(root)
    assert [str(run.path) for run in fidelity_runs(layout)] == [OTHER]
    table = build_table(layout, root, root).set_index("method")
    assert table.loc["cached", ["psnr_db", "psnr_db_low", "psnr_db_high"]].tolist() == [25.0, 24.0, 26.0]
    assert table.loc[["full", "fewer"], "psnr_db"].isna().all()
    assert "25 [24, 26]" in to_markdown(table.reset_index(), layout)


def test_a_search_by_clip_score_takes_the_highest(root):
    layout = text_layout(root)
    columns = [{"name": name, "best": name} for name in ("center", "clip_score")]
    runs = [f"sd/plms-50/nonuniform-n5-c{center}-p1.4-b1/seed-0" for center in (10, 20)]
    for path, score in zip(runs, (28.0, 29.0), strict=True):
        write(root / path / "clip_score.json", {"clip_score": score, "scores": [score], "images": 1})
        write(root / path / "run.json", {"images": 1, "devices": ["A CPU"], "weights": "hub"})
    rows = [{"labels": {"method": "cached"}, "runs": {}, "candidates": runs, "by": "clip_score"}]
    row = build_table({**layout, "columns": columns, "rows": rows}, root, root).iloc[0]
    assert (row["center"], row["clip_score"]) == (20, 29.0)


def test_quoted_rows_are_marked(root):
    write(root / "paper.csv", "dataset,method,fid,speed,quoted\nA,quoted,9,,1\nA,full,4,1,0\nA,cached,5,2.5,0\n")
    assert build_table(LAYOUT, root, root)["quoted"].tolist() == [1, 0, 0]


def test_markdown(root):
    text = to_markdown(build_table(LAYOUT, root, root), LAYOUT)
    assert text.startswith("# Title\n\nA note.\n\n| method")
    assert "| 12    | 5           | 7 " in text
    assert "16 images in each run, seeds: 2, device: A CPU." in text
    assert "nan" not in text
    assert "None" not in text
