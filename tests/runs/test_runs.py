import pytest

from deepcache import DeepCacheError
from deepcache.methods.method import Method
from deepcache.runs.run import Run
from deepcache.sampler import Sampler


@pytest.mark.parametrize(
    "slug", ["ddim-100", "ddim-50-quad", "ddim-250-cfg1.5", "plms-50-cfg7.5", "pndm-50", "dpmpp-25-cfg4"]
)
def test_sampler_slugs_go_both_ways(slug):
    assert Sampler.parse(slug).slug == slug


def test_schedules_are_laid_out_over_the_calls_that_count():
    lengths = {"ddim-50": 50, "plms-50-cfg7.5": 50, "pndm-50-cfg7.5": 59, "pndm-4": 13}
    assert {slug: Sampler.parse(slug).schedule_length(prompted=True) for slug in lengths} == lengths


def test_ddim_takes_more_steps_where_their_number_does_not_divide_that_of_the_training():
    """By the original's stride; diffusers' pipelines, which models with prompts have, do not."""
    taken = {"ddim-3": 4, "ddim-59-cfg1.5": 63, "ddim-91": 100, "ddim-100": 100, "ddim-999": 1000, "ddim-7-quad": 7}
    assert {slug: Sampler.parse(slug).steps_taken(prompted=False) for slug in taken} == taken
    assert {slug: Sampler.parse(slug).schedule_length(prompted=False) for slug in taken} == taken
    assert Sampler.parse("ddim-3").schedule_length(prompted=True) == 3


def test_runge_kutta_needs_four_steps():
    with pytest.raises(DeepCacheError, match="sampler pndm-3-cfg2: pndm needs at least 4 steps: use plms, or more"):
        Sampler.parse("pndm-3-cfg2")


def test_run_path_goes_both_ways():
    run = Run("digits-ddpm", Sampler("ddim", 100), Method.parse("uniform-n5-b2"), 0)
    assert str(run.path) == "digits-ddpm/ddim-100/uniform-n5-b2/seed-0"
    assert Run.parse(run.path) == run
    assert Run.parse(f"results/digits/{run.path}") == run


@pytest.mark.parametrize(
    "slug", ["ddim", "ddim-0", "ddim-100-cubic", "plms100", "heun-10", "ddim-10-cfg", "ddim-10-cfg1."]
)
def test_bad_samplers_are_named(slug):
    with pytest.raises(DeepCacheError, match=f"not '{slug}'"):
        Sampler.parse(slug)


def test_bad_runs_are_named():
    with pytest.raises(DeepCacheError, match="not 'a/b'"):
        Run.parse("a/b")


@pytest.mark.parametrize(("old", "new"), [("dpm++-25", "dpmpp"), ("dpmsolver++-25-cfg4", "dpmpp")])
def test_an_old_spelling_is_refused_with_the_new_one(old, new):
    with pytest.raises(DeepCacheError, match=f"is called {new}$"):
        Sampler.parse(old)
