"""The report of a small suite: one file that needs no network, made again when a result has changed."""

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from tests.suites import read_suite
from tests.workflow.project import jobs

KEPT = ("table2", "table6")
SMALL = {"samples": 4, "shard_size": 4, "batch_size": 4}


def small_suite(root) -> dict:
    """Tables 2 and 6 of the default suite, and whatever else every suite has, on a handful of images."""
    base = read_suite()
    return {
        "extends": "config/config.yaml",
        "suite": "small",
        "models": {
            "digits-ddpm": {**SMALL, "sampler": "ddim-10"},
            "digits-sd": {**SMALL, "sampler": "plms-5-cfg3"},
        },
        "timing": {"batch_size": 1, "repeats": 1},
        "tables": {
            **dict.fromkeys(base["tables"].keys() - KEPT),
            "table2": {"rows": [row for row in base["tables"]["table2"]["rows"] if not row.get("beyond")]},
        },
        "beyond": None,
        "budget": {
            "speeds": [1.3],
            "few_steps": [],
            "seeds": [0],
            "models": {"digits-ddpm": {"images": 4}, "digits-ldm": None, "digits-sd": None},
        },
        "sample_grids": {
            name: {"images": 4} if grid["table"] in KEPT else None for name, grid in base["sample_grids"].items()
        },
        "curves": dict.fromkeys(base["curves"]),
        "similarity": {"images": 1, "layers": {"digits-ldm": None, "digits-sd": None}},
        "diversity": {"seeds": [0, 1], "methods": [{"interval": 1}, {"interval": 2, "branch": 1}], "prompts": 1},
    }


class Opened(HTMLParser):
    """Addresses that a browser opens by itself."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href") and tag != "a"]


def variable(html: str, name: str) -> dict:
    """What the report's script says of `categories` or `results`."""
    return json.loads(re.search(rf'<script id="{name}">\s*var {name} = (.*);\n', html)[1])


@pytest.mark.slow
def test_a_report_is_one_file_made_again_when_a_table_has_changed(fresh):
    project = fresh()
    (project.folder / "config/small.yaml").write_text(yaml.safe_dump(small_suite(project.folder)), encoding="utf-8")
    results = project.folder / "results/small"
    done = project.run("report", "--cores", "1", suite="small")
    assert done.returncode == 0, done.stdout
    report = (results / "report.html").read_text(encoding="utf-8")

    categories, shown = variable(report, "categories"), variable(report, "results")
    assert set(categories) == {"Tables", "Figures", "Timing", "Provenance"}
    assert set(categories["Tables"]) == {"The paper's", "Beyond the paper", "MACs", "Summary"}
    assert all(one["caption"] for one in shown.values())
    table = pd.read_csv(results / "tables/table02.csv").set_index("method").loc["N=5"]
    numbers = f"{table['fid_paper']:.4g}, {table['fid']:.4g}, {table['fid_delta']:+.4g}"
    for file in ("report/pages/table2.html", "figures/table2_samples.png"):
        caption = unescape(shown[f"results/small/{file}"]["caption"])
        for fact in ("digits at 16 x 16", "each run: 4", "Seeds: 0", table["device"], "Not comparable", numbers):
            assert fact in caption, (file, fact)
    assert table["device"] in unescape(shown["results/small/report/pages/timing-digits-ddpm.html"]["caption"])
    found = Opened()
    found.feed(report)
    assert [address for address in found.addresses if not address.startswith("data:")] == []
    in_a_browser(results / "report.html", set(categories))

    again = project.run("report", "-n", suite="small")
    assert "Nothing to be done" in again.stdout
    with (results / "tables/table06.csv").open("a", encoding="utf-8") as file:
        file.write("\n")
    planned = jobs(project.run("report", "-n", suite="small").stdout)
    assert planned == {"summary": 1, "report_pages": 1, "report": 1}
    shows_what_was_made_apart(project, results)


def shows_what_was_made_apart(project, results) -> None:
    """Table budget is not part of `report`, which shows it once it was made."""
    for target in ("report", "budget", "report"):
        done = project.run(target, "--cores", "2", suite="small")
        assert done.returncode == 0, done.stdout
    shown = variable((results / "report.html").read_text(encoding="utf-8"), "results")
    assert {"results/small/report/pages/budget.html", "results/small/figures/fig_budget.png"} <= set(shown)
    assert "Nothing to be done" in project.run("report", "-n", suite="small").stdout


def in_a_browser(path, categories: set[str]) -> None:
    """Where there is one: it lists the categories although it can reach no server."""
    browser = shutil.which("chromium")
    if browser is None:
        return
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", path.as_uri()]
    done = subprocess.run([browser, *options], capture_output=True, text=True, timeout=180, check=True)
    listed = set(re.findall(r"<span>([^<]+)</span>", done.stdout.rpartition('id="app"')[2]))
    assert categories <= listed
