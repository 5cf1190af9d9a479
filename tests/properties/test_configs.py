"""A config in which anything is changed is refused in one line that names a key, or makes tables."""

import copy
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepcache import DeepCacheError
from deepcache.runs.run import Run
from deepcache.suite.config import validate
from deepcache.suite.layout import layout_runs, table_layouts
from deepcache.suite.reading import complete
from deepcache.suite.sources import check_sources
from tests.conftest import ROOT
from tests.suites import read_suite

CONFIG = read_suite()
VALUES = [None, True, 0, 1, -1, 2.5, 5.0, float("nan"), float("inf"), 10**30, 2**63]
VALUES += ["", "x", "../x", "a\nb", "x\n", "{x}", "{", "\0", "$(touch x)", "fid", "digits-sd", "digits-clip"]
VALUES += ["ddim-4-cfg1.2.3", "plms-4", "ddim-1000"]
VALUES += [[], {}, [1], {"a": 1}, {1: 2}, {None: 1}, {True: 1}, [{}], ["x", "x"]]


def places(value, above: tuple = ()) -> list[tuple]:
    """The path to every part of a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, part in items for path in ((*above, key), *places(part, (*above, key)))]


PLACES = places(CONFIG)


def changed(place: tuple, value) -> dict:
    """The config with another value; the part is left out where that is None."""
    config = copy.deepcopy(CONFIG)
    part = config
    for key in place[:-1]:
        part = part[key]
    if value is None:
        del part[place[-1]]
    else:
        part[place[-1]] = copy.deepcopy(value)
    return config


@settings(max_examples=40)
@given(st.sampled_from(PLACES), st.sampled_from(VALUES))
@example(("timing", "repeats"), 5.0)
@example(("estimate", "tflops"), float("nan"))
@example(("suite",), "x\n")
@example(("models", "digits-ddpm", "sampler"), "ddim-4-cfg1.2.3")
@example(("models",), {1: 2})
@example(("sample_grids", "fig7", "label"), "{")
@example(("similarity", "title"), "\0")
def test_a_changed_config_is_refused_in_one_line_or_makes_tables(place, value):
    try:
        config = complete(changed(place, value), ROOT)
        validate(config, ROOT / "config/schema.yaml", ROOT / "config/published")
        check_sources(config, ROOT)
    except DeepCacheError as error:
        said = str(error)
        assert said.startswith("config: ") and "\n" not in said and len(said) < 1000
        return
    for layout in table_layouts(config).values():
        json.dumps(layout, allow_nan=False)
        assert [Run.parse(run.path) for run in layout_runs(layout)] == layout_runs(layout)
