"""The project and the folder of the run may have spaces in their paths."""

import pandas as pd
import yaml

from tests.workflow.project import TINY, Project, snakemake


def test_a_table_in_a_folder_with_spaces(finished, tmp_path):
    place, home = tmp_path / "the run's folder", tmp_path / "a  project"
    place.mkdir()
    home.mkdir()
    project = Project(home)
    (place / "my suite.yaml").write_text(
        yaml.safe_dump({"extends": "config/config.yaml", **TINY, "beyond": None}), encoding="utf-8"
    )
    options = ("--directory", str(place), "--configfile", "my suite.yaml")
    done = snakemake(place, "-s", str(project.folder / "Snakefile"), "results/tiny/tables/table06.csv", *options)
    assert done.returncode == 0, done.stdout
    expected = pd.read_csv(finished.results / "tables/table06.csv")
    pd.testing.assert_frame_equal(pd.read_csv(place / "results/tiny/tables/table06.csv"), expected)
