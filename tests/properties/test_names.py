"""Names of runs: each run has one folder, each folder one run, and every other text is refused in one line."""

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepcache import DeepCacheError
from deepcache.decimals import DECIMAL, plain
from deepcache.errors import KeyedError
from deepcache.methods.discovery import reuses, schedules
from deepcache.methods.method import Method
from deepcache.runs.run import Run
from deepcache.sampler import NAMES, RUNGE_KUTTA_STEPS, TRAINED, Sampler

ANY_NUMBERS = st.floats(min_value=0, allow_infinity=False, allow_nan=False)
NUMBERS = ANY_NUMBERS.map(lambda value: float(f"{value:.12f}") if value < 1e18 else 1.0)
INTEGERS = st.integers(0, 10**18)
# What a person mistypes: pieces of real names in any order.
PIECES = ["ddim", "plms", "dpm++", "-", "100", "0", "007", "quad", "cfg", "1.5", ".", "1e3", "nan", "uniform"]
PIECES += ["nonuniform", "full", "chosen", "n5", "c15", "p1.4", "b2", "zeros"]
PIECES += ["forecast1", "seed", "/", "..", " ", "\n", "\u0663", "é", "\0"]
MISTYPED = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=20)


@st.composite
def samplers(draw) -> Sampler:
    name = draw(st.sampled_from(NAMES))
    fewest = RUNGE_KUTTA_STEPS + 1 if name == "pndm" else 1
    return Sampler(name, draw(st.integers(fewest, TRAINED)), draw(st.sampled_from(["uniform", "quad"])), draw(NUMBERS))


def values_of(schema: dict) -> st.SearchStrategy:
    if schema["type"] == "integer":
        return st.integers(schema.get("minimum", 0), 10**18)
    return NUMBERS.map(lambda value: schema["exclusiveMinimum"] + (value or 1))


@st.composite
def methods(draw) -> Method:
    kind = draw(st.sampled_from(list(schedules().values())))
    values = {name: draw(values_of(schema)) for name, schema in kind.schema().items()}
    values |= {"schedule": kind.name, "branch": draw(INTEGERS), "interval": draw(st.integers(2, 10**18))}
    if not kind.takes_plan:
        values["reuse"] = draw(st.sampled_from(["hold", "zeros", "forecast1", "forecast2"]))
    return Method.from_mapping(values)


MODELS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True)
RUNS = st.builds(Run, MODELS, samplers(), st.just(Method()) | methods(), INTEGERS)


@given(NUMBERS)
@example(7.5)
@example(1e17)
@example(0.1 + 0.2)
def test_a_number_has_one_text_which_reads_back(value):
    text = plain(value)
    assert re.fullmatch(DECIMAL, text) and float(text) == value


@given(ANY_NUMBERS)
@example(1e22)
@example(5e-324)
def test_a_number_of_too_many_digits_is_refused(value):
    text = plain(value)
    assert float(text) == value
    if not re.fullmatch(DECIMAL, text) and value > 1:
        with pytest.raises(KeyedError, match=r"^power: has too many digits for a folder's name"):
            Method.from_mapping({"schedule": "nonuniform", "interval": 2, "center": 1, "power": value})


@given(samplers())
def test_samplers_go_both_ways(sampler):
    assert Sampler.parse(sampler.slug) == sampler
    assert re.fullmatch(Sampler.PATTERN, sampler.slug), "or Snakemake would not find its rule"


@given(methods())
def test_methods_go_both_ways(method):
    assert Method.parse(method.slug) == method
    assert re.fullmatch(Method.pattern(), method.slug), "or Snakemake would not find its rule"


@given(RUNS)
def test_runs_go_both_ways(run):
    assert Run.parse(run.path) == run
    assert Run.parse(f"results/suite/{run.path}/") == run
    assert len(run.path.parts) == 4 and ".." not in run.path.parts


@given(RUNS, RUNS)
def test_two_runs_have_two_folders(one, other):
    assert (one == other) == (one.path == other.path)


@pytest.mark.parametrize("kind", [Sampler, Method])
@given(slug=MISTYPED)
@example(slug="ddim-100-cfg1.2.3")
@example(slug="ddim-100-cfg1.50")
@example(slug="ddim-100-cfg1")
@example(slug="uniform-n05-b2")
@example(slug="uniform-n5-b02")
@example(slug="uniform-n5-b2-hold")
@example(slug="nonuniform-n5-c1-p1.2.3-b0")
@example(slug="nonuniform-n5-c1-p.-b0")
@example(slug="nonuniform-n5-c1-pnan-b0")
@example(slug=f"uniform-n{'9' * 5000}-b0")
@example(slug="ddim-100\n")
def test_a_name_is_refused_in_one_line_or_is_its_own(kind, slug):
    try:
        found = kind.parse(slug)
    except DeepCacheError as error:
        assert "\n" not in str(error)
    else:
        assert found.slug == slug


@given(st.lists(MISTYPED, min_size=4, max_size=4).map("/".join))
@example("a/ddim-100/full/seed-007")
@example("a/ddim-100/full/seed--1")
@example("a/ddim-100/full/seed-1\n")
def test_a_path_is_refused_in_one_line_or_is_its_own(path):
    try:
        run = Run.parse(path)
    except DeepCacheError as error:
        assert "\n" not in str(error)
    else:
        assert run.path == PurePosixPath(*PurePosixPath(path).parts[-4:])


@given(
    st.dictionaries(
        st.sampled_from(["schedule", "interval", "center", "power", "branch", "reuse"]),
        st.none() | st.booleans() | st.integers() | st.floats() | MISTYPED,
    )
)
@example({"interval": 2.5})
@example({"interval": True})
@example({"interval": 2, "branch": -1})
@example({"interval": 2, "branch": 0.5})
@example({"schedule": "nonuniform", "interval": 2, "center": 1, "power": float("inf")})
def test_values_are_refused_under_their_key_or_name_a_method(values):
    try:
        method = Method.from_mapping(values)
    except KeyedError as error:
        assert error.key in values or "needs it" in error.problem
        assert "\n" not in str(error)
    else:
        assert Method.parse(method.slug) == method


def test_all_kinds_are_drawn():
    assert {"uniform", "nonuniform", "chosen"} <= set(schedules()) and {"hold", "zeros", "forecast"} <= set(reuses())
