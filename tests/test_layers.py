"""Packages stand in layers: a module imports from the layers below its own, never from those above."""

from pathlib import Path

from deepcache.imports import home_files, imported_names

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "deepcache"
# From the ground up; below them all are the modules that lie in deepcache/ itself.
LAYERS = (
    "caching",
    "beyond/caching",
    "methods",
    "beyond/methods",
    "runs",
    "suite",
    "data",
    "models",
    "sampling",
    "quality",
    "cost",
    "beyond/calibration",
    "results",
    "figures",
    "beyond/comparison",
    "beyond/figures",
    "export",
    "generation",
    "beyond/tuning",
    "beyond/equal_time",
    "training",
    "report",
)
HEIGHTS = {"": -1, **{layer: height for height, layer in enumerate(LAYERS)}}


def layer_of(module: Path) -> str:
    """The layer of a module; the one of `beyond` is its package there."""
    folders = module.relative_to(PACKAGE).parts[:-1]
    return "/".join(folders[: 2 if folders[:1] == ("beyond",) else 1])


def arrows() -> set[tuple[Path, Path]]:
    """(module, module that it imports), imports within functions among them; packages' own files apart."""
    return {
        (module, imported)
        for module in PACKAGE.rglob("*.py")
        for name in imported_names(module)
        for imported in home_files(name, ROOT)
        if imported.name != "__init__.py"
    }


def test_every_package_has_a_layer():
    folders = {layer_of(module) for module in PACKAGE.rglob("*.py")}
    assert folders - {"", "beyond"} == set(LAYERS)


def test_arrows_point_down_only():
    found = arrows()
    upward = {
        f"{module.relative_to(ROOT)} imports {imported.relative_to(ROOT)}"
        for module, imported in found
        if layer_of(module) != layer_of(imported) and HEIGHTS[layer_of(imported)] >= HEIGHTS[layer_of(module)]
    }
    assert len(found) > 300, "imports are seen at all"
    assert not upward


def test_the_paper_stands_without_what_goes_beyond_it():
    """Forecasts and plans are found by the names of their methods: see deepcache.methods.discovery."""
    reaching = {
        str(module.relative_to(PACKAGE))
        for module, imported in arrows()
        if layer_of(imported).startswith("beyond") and not layer_of(module).startswith("beyond")
    }
    assert reaching == set()


def test_imports_within_functions_are_seen():
    assert "deepcache.sampling.families.load_model" in set(imported_names(PACKAGE / "sampling/request.py"))
