import pytest

from deepcache import DeepCacheError
from deepcache.runs.method import Method
from deepcache.runs.run import Run
from deepcache.runs.sampler import Sampler

METHODS = {
    "full": Method(),
    "uniform-n5-b2": Method("uniform", 5, 2),
    "uniform-n5-b2-zeros": Method("uniform", 5, 2, reuse="zeros"),
    "nonuniform-n10-c15-p1.4-b1": Method("nonuniform", 10, 1, 15, 1.4),
    "nonuniform-n20-c120-p1.2-b0-forecast2": Method("nonuniform", 20, 0, 120, 1.2, "forecast2"),
    "chosen-n5-b2": Method("chosen", 5, 2),
}


@pytest.mark.parametrize("slug", METHODS)
def test_method_slugs_go_both_ways(slug):
    assert METHODS[slug].slug == slug
    assert Method.parse(slug) == METHODS[slug]


@pytest.mark.parametrize(
    "slug", ["ddim-100", "ddim-50-quad", "ddim-250-cfg1.5", "plms-50-cfg7.5", "pndm-50", "dpmpp-25-cfg4"]
)
def test_sampler_slugs_go_both_ways(slug):
    assert Sampler.parse(slug).slug == slug


def test_schedules_are_laid_out_over_the_calls_that_count():
    lengths = {"ddim-50": 50, "plms-50-cfg7.5": 50, "pndm-50-cfg7.5": 59, "pndm-4": 13}
    assert {slug: Sampler.parse(slug).schedule_length for slug in lengths} == lengths


def test_runge_kutta_needs_four_steps():
    with pytest.raises(DeepCacheError, match="sampler pndm-3-cfg2: pndm needs at least 4 steps: use plms, or more"):
        Sampler.parse("pndm-3-cfg2")


def test_run_path_goes_both_ways():
    run = Run("digits-ddpm", Sampler("ddim", 100), Method("uniform", 5, 2), 0)
    assert str(run.path) == "digits-ddpm/ddim-100/uniform-n5-b2/seed-0"
    assert Run.parse(run.path) == run
    assert Run.parse(f"results/digits/{run.path}") == run


BAD_METHODS = ["", "uniform", "uniform-n0-b1", "uniform-n5", "uniform-n5-b2-ones", "nonuniform-n5-b1", "chosen-n5"]


@pytest.mark.parametrize("slug", BAD_METHODS)
def test_bad_methods_are_named(slug):
    with pytest.raises(DeepCacheError, match=f"not '{slug}'"):
        Method.parse(slug)


@pytest.mark.parametrize(
    "slug", ["ddim", "ddim-0", "ddim-100-cubic", "plms100", "heun-10", "ddim-10-cfg", "ddim-10-cfg1."]
)
def test_bad_samplers_are_named(slug):
    with pytest.raises(DeepCacheError, match=f"not '{slug}'"):
        Sampler.parse(slug)


def test_bad_runs_are_named():
    with pytest.raises(DeepCacheError, match="not a/b"):
        Run.parse("a/b")


def test_full_steps():
    assert Method().full_steps(4) == (0, 1, 2, 3)
    assert Method("uniform", 3).full_steps(10) == (0, 3, 6, 9)
    nonuniform = Method("nonuniform", 5, 0, 10, 1.5).full_steps(50)
    assert len(nonuniform) == 10
    with pytest.raises(DeepCacheError, match="interval"):
        Method("nonuniform", 51, 0, 10, 1.5).full_steps(50)


def test_every_method_of_an_interval_has_as_many_full_steps():
    methods = (Method("uniform", 7), Method("nonuniform", 7, 0, 20, 1.2), Method("chosen", 7))
    assert [method.num_full(50) for method in methods] == [8, 8, 8]
    assert Method().num_full(50) == 50
    with pytest.raises(DeepCacheError, match="the full steps of chosen-n7-b0 stand in a plan: give it with --plan"):
        Method("chosen", 7).full_steps(50)
    with pytest.raises(DeepCacheError, match="interval must be between 1 and"):
        Method("chosen", 51).num_full(50)
