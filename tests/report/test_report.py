"""Pages and captions, and the program that makes one file of them."""

import html
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import docutils.core
import jinja2
import pandas as pd
import pytest

from deepcache import DeepCacheError
from deepcache.json_values import read_object
from deepcache.report.captions import caption, compared, macs_caption, main_column, table_caption, timing_caption
from deepcache.report.contents import contents
from deepcache.report.pages import page
from deepcache.report.records import checkpoints_page, software_page
from deepcache.report.timing import timing_page
from deepcache.suite.layout import table_layouts
from tests.suites import read_suite

ROOT = Path(__file__).resolve().parents[2]
SUITE = read_suite()
LAYOUTS = table_layouts(SUITE)


def table2() -> pd.DataFrame:
    """Table 2 as the workflow writes it, of made-up numbers."""
    rows = [
        {"method": "DDPM", "interval": 1, "fid": None, "fid_paper": 4.19, "fid_delta": None, "speed_delta": None},
        {"method": "DDPM*", "interval": 1, "fid": 1.0, "fid_paper": 4.16, "fid_delta": -3.16, "speed_delta": 0.0},
        {"method": "N=5", "interval": 5, "fid": 1.5, "fid_paper": 5.73, "fid_delta": -4.23, "speed_delta": 0.25},
    ]
    made = {"images": 256, "seeds": 1, "device": "Some CPU", "weights": "shipped", "speed": 2.1, "speed_paper": 1.85}
    table = pd.DataFrame(rows).assign(**made, runs="results/digits/digits-ddpm/run.json")
    table.loc[0, ["images", "device", "weights", "runs"]] = None
    return table


def rendered(text: str) -> str:
    """A caption as Snakemake shows it: through Jinja and docutils, whose complaints are errors."""
    text = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(text).render()
    settings = {"halt_level": 2, "report_level": 2}
    return docutils.core.publish_parts(text, writer="html", settings_overrides=settings)["body"]


def test_a_table_s_caption_names_everything_that_makes_its_numbers():
    shown = rendered(table_caption(table2(), LAYOUTS["table2"], SUITE))
    for fact in (
        "digits at 16 x 16 pixels",
        "Images in each run: 256",
        "Seeds: 0",
        "Device: Some CPU",
        "Not comparable with the paper: small models",
        "N=5, interval 5: 5.73, 1.5, -4.23",
        "DDPM*, interval 1: 4.16, 1, -3.16",
    ):
        assert fact in shown
    assert "4.19" not in shown, "the paper alone has this one"


def test_the_paper_s_own_suite_is_comparable_unless_its_weights_are_random():
    suite = {**SUITE, "verdicts": {"comparable": True}}
    assert "Not comparable" not in table_caption(table2(), LAYOUTS["table2"], suite)
    drawn = table_caption(table2().assign(weights="random"), LAYOUTS["table2"], suite)
    assert "Not comparable with the paper: the weights are random" in drawn


def test_the_main_column_is_measured_on_images_where_one_is():
    layout, table = LAYOUTS["table2"], table2()
    assert main_column(table, layout) == "fid"
    assert main_column(table.assign(fid_delta=None), layout) == "speed"
    assert main_column(table.assign(fid_delta=None, speed_delta=None), layout) is None
    assert compared(table, layout, "kid") == []


def test_what_a_caption_says_is_not_read_as_markup():
    text = "LDM-4*, a_b_, `c`, |d|, {{ missing }}, {braces}, back\\slash"
    assert text in rendered(caption([text]))


def test_macs_caption_counts_and_names_the_largest_difference():
    macs = pd.DataFrame(
        {
            "model": ["a", "a", "b"],
            "method": ["full", "N=5", "full"],
            "macs_g": [10.0, 5.5, 2.0],
            "macs_g_paper": [10.0, 5.0, 2.0],
            "rel_error": [0.0, 0.1, 0.0],
        }
    )
    shown = rendered(macs_caption(macs))
    assert "2 of 3 cells are within 0.5%" in shown
    assert "a, N=5: 5, 5.5, +0.5 G MACs (+10.00%)" in shown


TIMED = {
    "batch_size": 4,
    "repeats": 3,
    "threads": 1,
    "device": "Some CPU",
    "execution": "eager",
    "commit": "abc",
    "variants": {
        "m/ddim-10/uniform-n5-b0": {"throughput": 8.0, "seconds": [0.5, 0.4, 0.6], "spread": 0.4},
        "m/ddim-10/full": {"throughput": 2.0, "seconds": [2.0, 1.6, 2.1], "spread": 0.25},
        "m/plms-5/uniform-n5-b0": {"throughput": 8.0, "seconds": [0.5, 0.5, 0.5], "spread": 0.0},
    },
}


def test_timing_page_compares_with_the_same_sampler_without_caching():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in timing_page("m", TIMED).splitlines()
        if line.startswith("| m ")
    ]
    assert [row[2] for row in rows] == ["full", "uniform-n5-b0", "uniform-n5-b0"], "slowest first"
    assert [row[6] for row in rows] == ["1", "4", ""]
    assert rows[1][7] == "█" * 12


def test_timing_caption_has_the_paper_s_speed():
    shown = rendered(timing_caption(TIMED, [(table2(), LAYOUTS["table2"])], SUITE))
    assert "device: Some CPU" in shown
    assert "Table 2, N=5, interval 5: 1.85, 2.1, +0.25" in shown


NAMES = [
    "Intel(R) Xeon(R) Processor @ 2.50GHz",
    "A<B> & *C* `D` |E| _F_ G_ \"H\" 'I' \\J {{ K }} {% L %}",
    "처리기™ é",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_processor_may_have_any_name(name):
    captions = [
        timing_caption({**TIMED, "device": name}, [], SUITE),
        table_caption(table2().replace("Some CPU", name), LAYOUTS["table2"], SUITE),
    ]
    for text in captions:
        assert name in html.unescape(rendered(text)), "docutils writes @ as &#64;"
    assert name in html.unescape(page("timing", timing_page("m", {**TIMED, "device": name})))


class Tags(HTMLParser):
    """Collects the tags of a page, and addresses that a browser would open by itself."""

    def __init__(self):
        super().__init__()
        self.tags, self.opened, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.opened += [value for name, value in attributes if name in ("src", "href") and tag != "a"]

    def handle_data(self, data):
        self.text.append(data)


def test_a_page_is_complete_in_itself():
    found = Tags()
    found.feed(
        page("T < 2", "# A\n\n[there](tables/t.md) ![pic](a.png) `x`\n\n| a | b |\n|---|---|\n| <b>1</b> | N* |\n")
    )
    assert found.opened == [] and "a" not in found.tags and "img" not in found.tags
    assert {"h1", "table", "td", "code"} <= set(found.tags) and "b" not in found.tags
    assert "T < 2" in found.text and "N*" in found.text


def test_contents_are_sorted_as_they_are_numbered():
    items = contents(SUITE, LAYOUTS)
    assert {item.category for item in items} == {"Tables", "Figures", "Timing", "Provenance"}
    papers = [item for item in items if item.category == "Tables" and item.subcategory == "The paper's"]
    assert [item.name for item in sorted(papers, key=lambda item: item.labels["table"])] == [
        f"table{number}" for number in range(1, 15)
    ]
    assert len({(item.name, item.category) for item in items}) == len(items)
    grids = {item.labels["figure"] for item in items if item.category == "Figures"}
    assert {"Figure 02", "Table 01 samples"} <= grids


def test_software_is_listed_once_for_each_set_of_versions():
    versions = [{"torch": "2.9"}, {"torch": "2.15"}, {"torch": "2.15"}]
    text = software_page(pd.DataFrame({"run": ["a", "b", "c"], "versions": versions}))
    assert "1 runs" in text and "2 runs" in text and "2.9" in text
    alike = software_page(pd.DataFrame({"run": ["a", "b"], "versions": versions[:2]}))
    assert "set 1, 1 runs" in alike and "set 2, 1 runs" in alike


def test_checkpoints_have_a_row_for_each_file():
    manifest = {"name": "c", "source": "hub", "origin": {"repository": "o/n", "revision": "f00"}, "licence": None}
    text = checkpoints_page([{**manifest, "sha256": {"a.safetensors": "1" * 64, "b.safetensors": "2" * 64}}])
    assert text.count("repository: o/n, revision: f00") == 2
    assert "1" * 64 in text and "2" * 64 in text


def test_a_damaged_result_is_one_clear_line(tmp_path):
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"run.json: cannot be read .*delete it and run again"):
        read_object(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("output", "suite", "message"),
    [("report.pdf", "suite.json", "must end in .html"), ("report.html", "none.json", "none.json: no such file")],
)
def test_report_refuses_what_it_cannot_make(tmp_path, output, suite, message):
    (tmp_path / "suite.json").write_text("{}", encoding="utf-8")
    done = report(tmp_path, "--suite", suite, "--output", output)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert not (tmp_path / output).exists()


def test_where_snakemake_fails_its_words_are_shown_and_nothing_is_left(tmp_path):
    (tmp_path / "suite.json").write_text("{}", encoding="utf-8")
    (tmp_path / "Snakefile").write_text("rule some:\n    output: 'a'\n    shell: 'touch a'\n", encoding="utf-8")
    done = report(tmp_path, "--suite", "suite.json", "--targets", "other", "--output", "report.html")
    assert done.returncode == 1
    assert "other" in done.stderr and "report.html is not made" in done.stderr
    assert list(tmp_path.glob("*report*")) == []


def report(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "workflow/scripts/report.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
