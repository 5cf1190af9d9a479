"""Target beyond on a handful of images: from recordings to the tables and the pictures."""

import pandas as pd
import pytest
import yaml

from tests.workflow.project import SMALL, jobs

pytestmark = pytest.mark.slow

SUITE = {
    **SMALL,
    "calibration": {"recorded": 2, "screened": 1, "sampled": 2},
    "beyond": {
        "intervals": [2, 5],
        "seeds": [0, 1, 2],
        "models": {"digits-ddpm": {"branches": [2], "images": 4}, "digits-ldm": None, "digits-sd": None},
    },
}
FILES = [
    f"results/small/{name}" for name in ("tables/beyond.csv", "figures/fig_pareto.png", "figures/fig_forecast.png")
]
COLUMNS = (
    "model,branch,interval,schedule,reuse,macs_g,psnr_db,psnr_low,psnr_high,psnr_mean_db,psnr_p10_db,fid,clip_score"
)


def test_every_way_to_cache_is_compared(fresh):
    project = fresh()
    (project.folder / "config/small.yaml").write_text(yaml.safe_dump(SUITE), encoding="utf-8")
    planned = jobs(project.run("beyond", "-n", suite="small").stdout)
    assert planned["sweep"] == planned["calibrate"] == 2 and planned["record_features"] == planned["forecast_cost"] == 1
    done = project.run(*FILES, "--cores", "2", suite="small")
    assert done.returncode == 0, done.stdout
    results = project.folder / "results/small"
    assert (results / "tables/beyond.csv").read_text(encoding="utf-8").splitlines()[0] == COLUMNS
    table = pd.read_csv(results / "tables/beyond.csv").set_index(["interval", "schedule", "reuse"])
    for interval in (2, 5):
        rows = table.loc[interval]
        assert rows.loc[("full", "hold"), "macs_g"] > rows.loc[("uniform", "hold"), "macs_g"]
        assert rows.drop(("full", "hold"))["macs_g"].nunique() == 1, "all but no caching at equal MACs"
        assert rows["fid"].notna().all() and rows["psnr_db"].drop(("full", "hold")).notna().all()
        assert ("chosen", "chosen") in rows.index and ("online", "forecast1") in rows.index
    gains = pd.read_csv(results / "tables/beyond_gains.csv")
    assert gains[["interval", "full_steps"]].to_numpy().tolist() == [[2, 5], [5, 2]]
    assert "digits-ddpm" in (results / "tables/beyond.md").read_text(encoding="utf-8")
    for path in FILES[1:]:
        assert (project.folder / path).read_bytes()[:4] == b"\x89PNG"
    again = project.run(*FILES, "-n", suite="small")
    assert "Nothing to be done" in again.stdout
