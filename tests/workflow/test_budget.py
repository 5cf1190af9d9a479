"""Target budget on a handful of images: from a contest to the tables and the picture."""

import pandas as pd
import pytest
import yaml

from tests.workflow.project import SMALL, jobs

pytestmark = pytest.mark.slow

SUITE = {
    **SMALL,
    "beyond": {"intervals": [2]},
    "budget": {
        "speeds": [1.3, 9],
        "few_steps": [4],
        "seeds": [0],
        "models": {"digits-ddpm": {"images": 4}, "digits-ldm": None, "digits-sd": None},
    },
}
FILES = [f"results/small/{name}" for name in ("tables/budget.csv", "tables/budget.md", "figures/fig_budget.png")]
METHODS = ["fewer_steps", "hold", "forecast", "token_merging", "tgate", "whole_output_hold", "whole_output_forecast"]


def test_methods_are_compared_at_equal_time(fresh):
    project = fresh()
    (project.folder / "config/small.yaml").write_text(yaml.safe_dump(SUITE), encoding="utf-8")
    assert jobs(project.run("budget", "-n", suite="small").stdout)["contest"] == 1
    results = project.folder / "results/small"
    done = project.run(*FILES, "--cores", "2", suite="small")
    assert done.returncode == 0, done.stdout
    table = pd.read_csv(results / "tables/budget.csv")
    assert table["method"].tolist() == 2 * [*METHODS, "tuned"]
    found = table.set_index(["target_speed", "method"])
    assert found.loc[(1.3, "tuned"), ["speed", "error_db", "fid", "macs_g"]].notna().all()
    assert found.loc[(1.3, "tgate"), "setting"] == "no cross-attention"
    assert found.loc[(9, "hold"), "highest_speed"] < 9 and pd.isna(found.loc[(9, "hold"), "error_db"])
    few = pd.read_csv(results / "tables/budget_few_steps.csv")
    assert set(few["steps"]) == {4} and few["error_db"].notna().all()
    assert (project.folder / FILES[2]).read_bytes()[:4] == b"\x89PNG"
    assert not list((results / "budget").glob("*.partial.npz"))
    assert "Nothing to be done" in project.run(*FILES, "-n", suite="small").stdout
