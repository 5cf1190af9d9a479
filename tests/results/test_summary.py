import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from deepcache import DeepCacheError
from deepcache.results.paper_cells import open_table, paper_cells
from deepcache.results.summary import against_page, summarize_runs, summary_page
from deepcache.results.verdicts import DIFFERS, NOT_COMPARABLE, NOT_RUN, PAPER_DEVICE, REPRODUCED, Ours, judge

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "config/published"
STANDARD = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))["verdicts"]
ELSEWHERE = {**STANDARD, "comparable": False, "reason": "other data"}
# By table of the paper, the columns that say what a row is; all others hold results.
LABELS = {
    1: ["method", "schedule", "interval", "retrain", "quoted"],
    2: ["dataset", "method", "interval", "retrain_steps", "quoted"],
    3: ["prompts", "method", "steps", "interval"],
    4: ["method", "steps", "interval"],
    5: ["model", "dataset", "interval"],
    6: ["full_steps"],
    7: ["center", "power", "interval"],
    8: ["center", "power", "interval"],
    9: ["interval"],
    10: ["prompts", "interval"],
    11: ["schedule", "interval"],
    12: ["skip_branch", "interval"],
    13: ["method", "steps", "interval"],
    14: ["method", "steps", "interval"],
}
MACS = "table,model,method,branch,interval,macs_g,macs_g_paper,rel_error,note\n"
RUN = "model/ddim-10/{}/seed-0"
FULL, CACHED = RUN.format("full"), RUN.format("uniform-n3-b1")


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_every_published_number_stands_there_once(tmp_path):
    macs = write(tmp_path / "macs.csv", f"{MACS}1,ldm4g-imagenet,LDM-4,,1,99.7698,99.82,-0.0005,\n")
    cells = paper_cells(PUBLISHED, [], macs, STANDARD)
    expected = Counter()
    files = sorted(PUBLISHED.glob("table*.csv"))
    assert len(files) == 14
    for number, file in enumerate(files, 1):
        with file.open(newline="", encoding="utf-8") as text:
            for row in csv.DictReader(text):
                expected.update(
                    (number, name, cell) for name, cell in row.items() if cell and name not in LABELS[number]
                )
    assert Counter(zip(cells["table"], cells["column"], cells["paper"], strict=True)) == expected
    assert not cells.duplicated(["table", "row", "column"]).any()


def test_macs_are_found_for_each_dataset_in_turn(tmp_path):
    rows = "".join(
        f"2,{model},DDPM,,1,{ours},{paper},0,{note}\n"
        for model, ours, paper, note in (("a", 6.054, 6.1, "rounded"), ("b", 248.1, 248.7, ""), ("c", 248.2, 248.7, ""))
    )
    cells = paper_cells(PUBLISHED, [], write(tmp_path / "macs.csv", MACS + rows), ELSEWHERE)
    found = cells[cells["row"].str.contains("method=DDPM,") & (cells["column"] == "macs_g")]
    assert found["ours"].tolist() == [6.054, 248.1, 248.2]
    assert found["verdict"].tolist() == [REPRODUCED] * 3
    assert found["source"].tolist() == [str(tmp_path / "macs.csv")] * 3
    pruned = cells[cells["row"].str.contains("method=Diff-Pruning,?", regex=True) & (cells["column"] == "macs_g")]
    assert set(pruned["verdict"]) == {NOT_RUN, NOT_COMPARABLE}
    unknown = write(tmp_path / "macs.csv", MACS + rows + "2,d,DDPM,,1,7,7,0,\n")
    with pytest.raises(DeepCacheError, match=r"macs\.csv: Table 2 of the paper has no DDPM with 7\.0 G"):
        paper_cells(PUBLISHED, [], unknown, STANDARD)


@pytest.mark.parametrize(
    ("metric", "printed", "quoted", "ours", "standard", "verdict", "reason"),
    [
        ("macs_g", "10.00", False, Ours(10.04), ELSEWHERE, REPRODUCED, "within 0.5 %"),
        ("macs_g", "10.00", True, Ours(10.04), STANDARD, REPRODUCED, "within 0.5 %"),
        (
            "macs_g",
            "6.1",
            False,
            Ours(6.054),
            STANDARD,
            REPRODUCED,
            "equal when rounded as the paper prints it (decima",
        ),
        ("macs_g", "6.10", False, Ours(6.054), STANDARD, DIFFERS, "by more than 0.5 %"),
        (
            "macs_g",
            "6.10",
            False,
            Ours(6.5, note="the paper leaves one out"),
            STANDARD,
            DIFFERS,
            "the paper leaves one",
        ),
        ("macs_g", "6.1", True, Ours(missing="not counted"), STANDARD, NOT_COMPARABLE, "the paper quotes it"),
        ("macs_g", "6.1", False, Ours(missing="not counted"), STANDARD, NOT_RUN, "not counted"),
        ("fid", "4.16", False, Ours(4.25, images=50000), STANDARD, REPRODUCED, "within 0.1"),
        ("fid", "192.98", False, Ours(190.0, images=50000), STANDARD, REPRODUCED, "within 3 %"),
        ("fid", "4.16", False, Ours(5.0, 4.1, 5.9, images=50000), STANDARD, REPRODUCED, "within our 95 % interval"),
        ("fid", "4.16", False, Ours(5.0, 4.3, 5.7, images=50000), STANDARD, DIFFERS, "by more than 0.1 and 3 %"),
        (
            "fid",
            "4.16",
            False,
            Ours(4.16, images=1000),
            STANDARD,
            NOT_COMPARABLE,
            "fid depends on the number of images",
        ),
        ("fid", "4.16", False, Ours(4.16, images=50000), ELSEWHERE, NOT_COMPARABLE, "other data"),
        ("fid", "4.16", True, Ours(4.16, images=50000), STANDARD, NOT_COMPARABLE, "the paper quotes it"),
        ("fid", "4.16", False, Ours(missing="no run"), ELSEWHERE, NOT_RUN, "no run"),
        ("fid", "4.16", False, Ours(undefined="too few"), STANDARD, NOT_COMPARABLE, "undefined: too few"),
        (
            "fid",
            "4.16",
            False,
            Ours(4.16, images=50000, weights="hub; random"),
            STANDARD,
            NOT_COMPARABLE,
            "random weigh",
        ),
        ("speed", "2.1", False, Ours(2.1, device="Another"), STANDARD, NOT_COMPARABLE, "times of another device"),
        ("speed", "2.1", False, Ours(2.0, device=PAPER_DEVICE), STANDARD, REPRODUCED, "within 10 %"),
        ("clip_score", "29.51", False, Ours(29.80), STANDARD, DIFFERS, "by more than 0.2"),
        ("center", "120", False, Ours(120.0), STANDARD, REPRODUCED, "within 0"),
        ("center", "120", False, Ours(110.0), STANDARD, DIFFERS, "by more than 0"),
    ],
)
def test_verdicts(metric, printed, quoted, ours, standard, verdict, reason):
    found = judge(metric, printed, quoted, ours, standard)
    assert found[0] == verdict
    assert found[1].startswith(reason)


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A suite with one of the paper's tables and one of its own, and a run that neither names."""
    monkeypatch.chdir(tmp_path)
    write(
        Path("published/table02_small.csv"),
        "dataset,method,interval,macs_g,speed,fid,quoted\n"
        "A,Other,,,,9.0,1\nA,DDPM,1,6.1,1,4.16,0\nA,N=3,3,4.0,2.10,5.0,0\nB,DDPM,1,6.1,1,7.0,0\n",
    )
    write(Path("macs.csv"), f"{MACS}2,a,DDPM,,1,6.11,6.1,0,\n2,b,DDPM,,1,6.12,6.1,0,\n2,a,N=3,1,3,5,4.0,0.25,why\n")
    root = Path("results/small")
    for run, commit in ((FULL, "abc"), (CACHED, "def"), (RUN.format("uniform-n9-b1"), "old")):
        sidecar = {
            "images": 50000,
            "settings_hash": commit * 2,
            "weights": "hub",
            "sampling_seconds": 1800,
            "devices": ["A CPU"],
            "versions": {"torch": "2"},
            "commits": [commit],
        }
        write(root / run / "run.json", sidecar)
        write(root / run / "metrics.json", {"fid": 4.2, "images": 50000, "settings_hash": commit * 2})
    write(root / CACHED / "paired.json", {"fid_change": 0.5})
    write(
        root / "tables/table02.csv",
        "method,interval,speed,speed_paper,fid,fid_paper,images,device,weights,undefined,runs\n"
        "Other,,,,,9.0,,,,,\n"
        f"DDPM,1,1.0,1.0,4.2,4.16,50000,A CPU,hub,,{root / FULL}/run.json\n"
        f"N=3,3,1.9,2.1,,5.0,50000,A CPU,hub,fid: too few,{root / FULL}/run.json; {root / CACHED}/run.json\n",
    )
    write(root / "tables/extra.csv", f"branch,device,weights,runs\n1,A CPU,hub,{root / CACHED}/run.json\n")
    return {
        "name": "small",
        "verdicts": STANDARD,
        "figures": ["results/small/figures/fig5.png"],
        "tables": {
            "table2": {
                "title": "Table 2: small",
                "path": "results/small/tables/table02.csv",
                "published": {"file": "table02_small.csv", "where": {"dataset": "A"}, "key": ["method"]},
                "timing": ["results/small/timing/models.json"],
            },
            "extra": {"title": "Extra", "path": "results/small/tables/extra.csv", "published": None, "timing": []},
        },
    }


def tables_of(suite):
    return [open_table(name, **{**one, "path": Path(one["path"])}) for name, one in suite["tables"].items()]


def test_cells_of_a_suite(suite):
    cells = paper_cells(Path("published"), tables_of(suite), Path("macs.csv"), STANDARD)
    assert len(cells) == 10
    by_cell = cells.set_index(["row", "column"])
    full = by_cell.loc[("dataset=A, method=DDPM, interval=1", "fid")]
    assert (full["paper"], full["ours"], full["verdict"]) == ("4.16", 4.2, REPRODUCED)
    assert full["difference"] == pytest.approx(0.04)
    assert full["relative_difference"] == pytest.approx(0.04 / 4.16)
    assert full["source"] == f"results/small/{FULL}/run.json"
    cached = by_cell.loc["dataset=A, method=N=3, interval=3"]
    assert cached["verdict"].to_dict() == {"macs_g": DIFFERS, "speed": NOT_COMPARABLE, "fid": NOT_COMPARABLE}
    assert cached["reason"]["macs_g"] == "why"
    assert cached["reason"]["fid"] == "undefined: too few"
    assert cached["source"]["speed"] == "results/small/timing/models.json"
    assert by_cell.loc[("dataset=A, method=Other", "fid"), "verdict"] == NOT_COMPARABLE
    elsewhere = by_cell.loc["dataset=B, method=DDPM, interval=1"]
    assert elsewhere["verdict"].to_dict() == {"macs_g": REPRODUCED, "speed": NOT_RUN, "fid": NOT_RUN}
    assert elsewhere["ours"]["macs_g"] == 6.12


def test_runs_of_a_suite(suite):
    runs = summarize_runs(Path("results/small"), tables_of(suite)).set_index("run")
    assert list(runs.index) == [FULL, CACHED], "a run of an earlier config is left out"
    cached = runs.loc[CACHED]
    assert (cached["sampler"], cached["steps"], cached["guidance_scale"]) == ("ddim", 10, 1)
    assert (cached["schedule"], cached["interval"], cached["branch"], cached["reuse"]) == ("uniform", 3, 1, "hold")
    assert (cached["images"], cached["commit"], cached["settings_hash"]) == (50000, "def", "defdef")
    assert (cached["fid"], cached["fid_change"], cached["tables"]) == (4.2, 0.5, "table2; extra")
    assert runs.loc[FULL, ["branch", "reuse", "fid_change", "clip_score"]].isna().all()


def test_the_pages_can_be_read(suite):
    tables = tables_of(suite)
    runs = summarize_runs(Path("results/small"), tables)
    cells = paper_cells(Path("published"), tables, Path("macs.csv"), STANDARD)
    page, against = Path("results/small/summary.md"), Path("results/small/paper_against_ours.md")
    text = summary_page(suite, tables, runs, cells, page, against)
    assert "2 runs of 1 models made 100,000 images in 1 hours" in text
    assert "[Table 2: small](tables/table02.md)" in text and "[Extra](tables/extra.md)" in text
    assert "+25.00% (macs_g, dataset=A, method=N=3, interval=3)" in text
    assert "[fig5](figures/fig5.png)" in text and "[Paper against ours](paper_against_ours.md)" in text
    assert "Commits of this project: abc (1 runs); def (1 runs)" in text
    text = against_page(suite, tables, cells, against, Path("published"))
    assert "(../../published/README.md)" in text
    assert "1 not comparable (undefined: too few)" in text and "2 not run (no table of the suite has this row)" in text
    shown = [line for line in text.splitlines() if "macs_g" in line or "| fid " in line]
    assert len(shown) == 4, "only what can be compared"
    other = summary_page({**suite, "verdicts": ELSEWHERE}, tables, runs, cells, page, against)
    assert "Only MACs can be compared with the paper's numbers: other data." in other


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (f"{FULL}/run.json", None, r"full/seed-0/run\.json: cannot be read .* run again"),
        (f"{FULL}/run.json", "{", r"full/seed-0/run\.json: cannot be read .* run again"),
        (f"{FULL}/run.json", "{}", r"full/seed-0/run\.json: no sidecar of a run \(KeyError\('images'\)\)"),
        (f"{FULL}/metrics.json", '{"images": 16}', r"full/seed-0/metrics\.json: has other images than .*run\.json"),
        ("tables/table02.csv", None, r"table02\.csv: cannot be read"),
        ("tables/table02.csv", "", r"table02\.csv: cannot be read"),
        ("tables/table02.csv", "method,fid\nDDPM,1\n", r"table02\.csv: lacks device, weights, runs"),
        ("tables/table02.csv", "method,device,weights,runs\n", r"table02\.csv: holds no rows"),
        ("tables/extra.csv", "device,weights,runs\n,,nonsense/x/run.json\n", r"extra\.csv: a run looks like"),
        (
            "tables/table02.csv",
            f"method,fid,fid_paper,device,weights,runs\nDDPM,many,4.16,,,{FULL}/run.json\n",
            r"table02\.csv: 'many' is no number",
        ),
        (
            "tables/table02.csv",
            f"method,fid,fid_paper,device,weights,runs\nDDPM,4,4.17,,,{FULL}/run.json\n",
            r"table02\.csv: says that the paper's fid is 4\.17, it is 4\.16",
        ),
        ("../../macs.csv", "table,method\n", r"macs\.csv: lacks macs_g, macs_g_paper, note"),
        ("../../published/table02_small.csv", None, r"published: holds no table of the paper"),
        (
            "../../published/table02_small.csv",
            "method,fidd\na,1\n",
            r"fidd is neither a known label nor a known result",
        ),
    ],
)
def test_what_is_missing_or_damaged_is_one_line(suite, file, content, message):
    path = Path("results/small") / file
    path.unlink() if content is None else write(path, content)
    with pytest.raises(DeepCacheError, match=message) as caught:
        tables = tables_of(suite)
        summarize_runs(Path("results/small"), tables)
        paper_cells(Path("published"), tables, Path("macs.csv"), STANDARD)
    assert "\n" not in str(caught.value)


def script(suite) -> subprocess.CompletedProcess:
    program = [sys.executable, ROOT / "workflow/scripts/summary.py", "--suite", json.dumps(suite)]
    options = ["--results", "results/small", "--macs", "macs.csv", "--published", "published"]
    return subprocess.run(
        [*program, *options], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )


def test_the_script_alone(suite):
    done = script(suite)
    assert done.returncode == 0, done.stderr
    runs, cells = (pd.read_csv(f"results/small/{name}.csv") for name in ("summary", "paper_against_ours"))
    assert (len(runs), len(cells)) == (2, 10)
    written = {path.name for path in Path("results/small").iterdir() if path.is_file()}
    assert written == {f"{name}{end}" for name in ("summary", "paper_against_ours") for end in (".csv", ".md")}
    for name in written:
        Path("results/small", name).unlink()
    Path("macs.csv").unlink()
    broken = script(suite)
    assert (broken.returncode, broken.stderr.count("\n")) == (1, 1)
    assert broken.stderr.startswith("error: macs.csv: cannot be read")
    assert not any(path.is_file() for path in Path("results/small").iterdir()), "nothing half-written"
