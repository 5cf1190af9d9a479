"""Copies of the project for the tests of the workflow."""

import pytest

from tests.workflow.project import Project


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A function that makes a new copy."""
    return lambda: Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def finished(fresh) -> Project:
    """A copy in which Tables 2 and 6 have been made, Table 2 first as in `make demo`; `screen` is what was printed."""
    project = fresh()
    done = project.run("table2", "table6", "--cores", "1", "--prioritize", "table2", "--resources", "gpu=1")
    assert done.returncode == 0, done.stdout
    project.screen = done.stdout
    # Other tests make some of it again.
    project.stamps = {path: path.stat().st_mtime_ns for path in project.results.rglob("*") if path.is_file()}
    return project
