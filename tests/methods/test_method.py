"""A method by its name: in paths, in configs, in pictures."""

import re
import sys

import pytest

from deepcache import DeepCacheError
from deepcache.beyond.methods.chosen import Chosen
from deepcache.beyond.methods.forecast import ForecastFeature
from deepcache.errors import KeyedError
from deepcache.methods import discovery
from deepcache.methods.discovery import reuses, schedules
from deepcache.methods.method import Method, parse_reuse
from deepcache.methods.nonuniform import Nonuniform
from deepcache.methods.schedule import NamedSchedule, Place
from deepcache.methods.uniform import Uniform
from deepcache.methods.zeros import ZeroFeature

METHODS = {
    "full": Method(),
    "uniform-n5-b2": Method(Uniform(5), 2),
    "uniform-n5-b2-zeros": Method(Uniform(5), 2, ZeroFeature()),
    "nonuniform-n10-c15-p1.4-b1": Method(Nonuniform(10, 15, 1.4), 1),
    "nonuniform-n20-c120-p1.2-b0-forecast2": Method(Nonuniform(20, 120, 1.2), 0, ForecastFeature(2)),
    "chosen-n5-b2": Method(Chosen(5), 2),
}
BAD_METHODS = [
    "",
    "uniform",
    "uniform-n0-b1",
    "uniform-n5",
    "uniform-n5-b2-ones",
    "uniform-n5-b2-hold",
    "uniform-n5-b2-forecast0",
    "nonuniform-n5-b1",
    "chosen-n5",
    "chosen-n5-b2-zeros",
]


@pytest.mark.parametrize("slug", METHODS)
def test_slugs_go_both_ways(slug):
    assert METHODS[slug].slug == slug
    assert Method.parse(slug) == METHODS[slug]
    assert re.fullmatch(Method.pattern(), slug)


@pytest.mark.parametrize("slug", BAD_METHODS)
def test_bad_slugs_are_named(slug):
    assert not re.fullmatch(Method.pattern(), slug)
    with pytest.raises(DeepCacheError, match=f"not '{slug}'"):
        Method.parse(slug)


def test_labels_are_words():
    labels = [method.label for method in METHODS.values()]
    assert labels == [
        "no caching",
        "N = 5",
        "N = 5, zeros",
        "N = 10, c = 15, p = 1.4",
        "N = 20, c = 120, p = 1.2, forecast of order 2",
        "chosen, N = 5",
    ]


@pytest.mark.parametrize(
    ("values", "slug"),
    [
        ({}, "full"),
        ({"interval": 1, "branch": 3, "reuse": "zeros"}, "full"),
        ({"interval": 3}, "uniform-n3-b0"),
        ({"interval": 3, "branch": 2, "reuse": "forecast1", "model": "ignored"}, "uniform-n3-b2-forecast1"),
        ({"schedule": "nonuniform", "interval": 3, "center": 2, "power": 2}, "nonuniform-n3-c2-p2-b0"),
        ({"schedule": "chosen", "interval": 3, "branch": 1}, "chosen-n3-b1"),
    ],
)
def test_a_config_names_a_method(values, slug):
    assert Method.from_mapping(values).slug == slug


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "nonuniform", "center": 2}, "power: nonuniform needs it"),
        ({"schedule": "uniform", "power": 1.2}, "power: uniform takes none: leave it out"),
        ({"schedule": "eq7"}, "schedule: must be one of nonuniform, uniform, chosen, not 'eq7'"),
        ({"schedule": "chosen", "reuse": "zeros"}, "reuse: what chosen reuses stands in its plan: leave it out"),
        ({"reuse": "ones"}, "reuse: must look like hold, zeros, forecast1, not 'ones'"),
        ({"schedule": "nonuniform", "center": 2, "power": 1.0}, "power: must be above 1, not 1.0"),
        ({"schedule": "nonuniform", "center": -1, "power": 1.2}, "center: must be at least 0, not -1"),
        ({"interval": 0}, "interval: must be at least 1, not 0"),
    ],
)
def test_what_a_config_lacks_is_named(values, message):
    with pytest.raises(KeyedError, match=f"^{re.escape(message)}$"):
        Method.from_mapping({"interval": 3, **values})


def full_steps(slug: str, num_steps: int) -> tuple[int, ...]:
    method = Method.parse(slug)
    return method.resolve(Place(num_steps, method.branch)).full_steps


def test_full_steps():
    assert full_steps("full", 4) == (0, 1, 2, 3)
    assert full_steps("uniform-n3-b0", 10) == (0, 3, 6, 9)
    assert len(full_steps("nonuniform-n5-c10-p1.5-b0", 50)) == 10
    with pytest.raises(DeepCacheError, match="interval"):
        full_steps("nonuniform-n51-c10-p1.5-b0", 50)
    with pytest.raises(DeepCacheError, match="the full steps of chosen-n7 stand in a plan: give it with --plan"):
        full_steps("chosen-n7-b0", 50)


def test_every_method_of_an_interval_has_as_many_full_steps():
    slugs = ("uniform-n7-b0", "nonuniform-n7-c20-p1.2-b0", "chosen-n7-b0")
    assert [Method.parse(slug).num_full(50) for slug in slugs] == [8, 8, 8]
    assert Method().num_full(50) == 50
    with pytest.raises(DeepCacheError, match="interval must be between 1 and"):
        Method.parse("chosen-n51-b0").num_full(50)


@pytest.mark.parametrize("slug", ["full", "uniform-n3-b0"])
def test_a_method_that_takes_no_plan_is_given_none(slug, tmp_path):
    with pytest.raises(DeepCacheError, match="takes no plan"):
        Method.parse(slug).resolve(Place(10, plan=tmp_path / "plan.json"))


def test_reuses_by_their_names():
    assert [type(parse_reuse(slug).make()).__name__ for slug in ("hold", "zeros")] == ["Hold", "Zeros"]
    assert parse_reuse("forecast2").make().order == 2


def test_what_there_is_is_found_by_itself():
    assert list(schedules()) == ["nonuniform", "uniform", "chosen"]
    assert list(reuses()) == ["hold", "zeros", "forecast"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "needs a `name` of small letters and digits, not None"),
        ("    name = 'a b'\n", "needs a `name` of small letters and digits, not 'a b'"),
        ("    name = 'uniform'\n", "has the name uniform, as Uniform in .*uniform.py"),
        ("    name = 'mine'\n", "does not define full_steps"),
        ("    name = 'mine'\n    twice: int = parameter('n', '')\n    def full_steps(self, t): pass\n", "same letter"),
    ],
)
def test_a_file_that_does_not_define_a_schedule_is_named(tmp_path, monkeypatch, text, problem):
    package = tmp_path / "more_methods"
    package.mkdir()
    head = "from dataclasses import dataclass\nfrom deepcache.methods.parts import parameter\n"
    head += "from deepcache.methods.schedule import NamedSchedule\n\n\n"
    (package / "__init__.py").touch()
    body = text or "    pass\n"
    (package / "mine.py").write_text(
        f"{head}@dataclass(frozen=True)\nclass Mine(NamedSchedule):\n{body}", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("more_methods")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(discovery, "PACKAGES", (*discovery.PACKAGES, "more_methods"))
    with pytest.raises(DeepCacheError, match=rf"more_methods/mine\.py: Mine .*{problem}"):
        discovery._named(NamedSchedule)
