"""What the project promises about itself."""

import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(python: str) -> dict[str, str]:
    """Versions in the lock for one version of Python ("3.11" or "3.12")."""
    found = {}
    for name, version, marker in re.findall(r"^([\w.-]+)==([^ ;\\]+)(?: ; ([^\\\n]+))?", LOCK, flags=re.M):
        for_older, for_newer = "< '3.12'" in marker, ">= '3.12'" in marker
        if not (for_older if python == "3.12" else for_newer):
            found[normalised(name)] = version
    return found


def test_conda_environment_has_the_locked_versions():
    environment = yaml.safe_load((ROOT / "envs/deepcache.yaml").read_text(encoding="utf-8"))["dependencies"]
    assert "python=3.11" in environment
    listed = dict(line.split("==") for line in next(entry for entry in environment if isinstance(entry, dict))["pip"])
    locked = pins("3.11")
    assert listed == {name: locked[name] for name in listed}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["emoji"]]  # jobs of every suite
    assert set(listed) == {normalised(re.match(r"[\w.-]+", line)[0]) for line in needed}


def test_the_lock_fits_both_pythons_and_has_hashes():
    assert pins("3.11").keys() >= {"torch", "diffusers", "snakemake", "numpy"}
    assert pins("3.12").keys() >= {"torch", "diffusers", "snakemake", "numpy"}
    assert LOCK.count("--hash=sha256:") > len(pins("3.11"))


def test_the_lock_keeps_what_is_promised():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for line in (*project["dependencies"], *extras["emoji"], *extras["export"], *extras["test"]):
        promised = Requirement(line)
        if promised.name == project["name"]:  # an extra that takes another one
            continue
        assert promised.specifier, f"{line} names no lowest version, so none is tested"
        for python in ("3.11", "3.12"):
            assert promised.specifier.contains(pins(python)[normalised(promised.name)]), line


def test_public_names():
    import deepcache

    assert set(deepcache.__all__) >= {
        "DeepCache",
        "compute_macs",
        "count_ops_and_params",
        "nonuniform",
        "uniform",
    }
    for name in deepcache.__all__:
        assert callable(getattr(deepcache, name))


def test_one_version_in_all_places():
    """A test that fails here alone asks for a new installation: `make test` makes it."""
    import deepcache

    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert (
        re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)[0] == version
    )
    assert deepcache.__version__ == version


def test_where_it_is_not_installed_it_has_no_version(monkeypatch):
    """As in a conda environment of Snakemake's, which has the libraries but not this project."""
    import deepcache

    monkeypatch.delitem(vars(deepcache), "__version__", raising=False)
    monkeypatch.setattr(deepcache, "_DISTRIBUTION", "no-such-distribution")
    with pytest.raises(AttributeError, match="no-such-distribution is not installed"):
        deepcache.__version__  # noqa: B018


def test_the_workflow_reads_its_config_without_torch():
    """Snakemake builds its graph in seconds only if this holds."""
    code = "import sys, deepcache, deepcache.suite.config; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_no_cycles_between_modules():
    folder, graph = ROOT / "deepcache", {}
    for path in folder.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        imported = re.findall(r"^ *from (deepcache[\w.]*) import (\w+)", path.read_text(encoding="utf-8"), flags=re.M)
        # `from deepcache.caching import schedules` imports a module, `from deepcache.errors import X` a name.
        graph[name] = {
            f"{module}.{thing}" if (ROOT / module.replace(".", "/") / f"{thing}.py").exists() else module
            for module, thing in imported
        }
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(graph) > 20


def test_rules_run_programs_that_exist():
    named = {
        name
        for file in (ROOT / "rules").rglob("*.smk")
        for name in re.findall(
            r"""\w+\(\s*["']((?:beyond/)?[a-z_0-9]+)["'],\s*f?["'].*--output""", file.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 25
    assert {name for name in named if not (ROOT / f"workflow/scripts/{name}.py").is_file()} == set()
