import numpy as np
import pytest
from scipy import stats

from deepcache import DeepCacheError
from deepcache.quality.frechet import frechet_distance
from deepcache.quality.intervals import (
    Interval,
    bootstrapped,
    draws,
    over_seeds,
    paired_bootstrap,
    paired_over_images,
    paired_over_seeds,
)


def covered(intervals: list[Interval], truth: float) -> float:
    return np.mean([one.low <= truth <= one.high for one in intervals])


def test_over_seeds_equals_scipy():
    values = [4.2, 4.7, 4.1, 4.4]
    found = over_seeds(values)
    expected = stats.t.interval(0.95, df=3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.value, found.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))


def test_paired_over_seeds_is_the_paired_t_test():
    values, baseline = {0: 4.2, 1: 4.7, 2: 4.1}, {2: 4.0, 0: 4.1, 1: 4.5}
    found = paired_over_seeds(values, baseline)
    test = stats.ttest_rel(list(values.values()), [baseline[seed] for seed in values])
    expected = test.confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.high - found.low < 0.5 * (over_seeds(list(values.values())).high - over_seeds([4.2, 4.7, 4.1]).low)


def test_over_seeds_covers_the_truth_in_95_percent_of_the_cases():
    rng = np.random.default_rng(0)
    found = [over_seeds(values) for values in rng.normal(3.0, 0.2, (4000, 3))]
    assert covered(found, 3.0) == pytest.approx(0.95, abs=0.015)


def test_bootstrap_of_a_mean_covers_the_truth_in_95_percent_of_the_cases():
    """Paired: the difference is known far better than either mean, and as well as the t-test knows it."""
    rng, found, ratios = np.random.default_rng(1), [], []
    for seed in range(300):
        baseline = rng.normal(size=15)
        run = baseline + 0.3 + 0.2 * rng.normal(size=15)
        found.append(paired_bootstrap(np.mean, run, baseline, resamples=100, seed=seed))
        expected = stats.t.interval(0.95, df=14, loc=np.mean(run - baseline), scale=stats.sem(run - baseline))
        assert found[-1].value == pytest.approx(np.mean(expected))
        ratios.append((found[-1].high - found[-1].low) / (expected[1] - expected[0]))
    assert covered(found, 0.3) == pytest.approx(0.95, abs=0.035)
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)


def test_bootstrap_of_fid_covers_the_mean_difference_over_fresh_noises():
    """With fewer images than dimensions, where FID depends most on how many distinct images there are."""
    rng, images, dimensions = np.random.default_rng(0), 10, 16
    mixing = rng.normal(size=(dimensions, dimensions)) / 4

    def runs() -> tuple[np.ndarray, np.ndarray]:
        """Baseline and run from the same noises; the run's images are a little off."""
        noise, error = rng.normal(size=(2, images, dimensions))
        return np.abs(noise @ mixing), np.abs((noise + 0.2 * error) @ mixing) * 1.1 + 0.1

    reference = np.abs(rng.normal(size=(5000, dimensions)) @ mixing) * 1.05
    mu, sigma = reference.mean(axis=0), np.cov(reference, rowvar=False)

    def fid(features: np.ndarray) -> float:
        return frechet_distance(features.mean(axis=0), np.cov(features, rowvar=False), mu, sigma)

    truth = np.mean([fid(run) - fid(baseline) for baseline, run in (runs() for _ in range(500))])
    found = []
    for seed in range(100):
        baseline, run = runs()
        found.append(paired_bootstrap(fid, run, baseline, resamples=50, seed=seed))
    assert covered(found, truth) >= 0.88


def test_bootstrap_of_a_run_with_itself_is_exactly_zero():
    run = np.random.default_rng(0).normal(size=(20, 3))
    assert paired_bootstrap(np.var, run, run.copy()) == Interval(0.0, 0.0, 0.0, 0.0)


def test_bootstrap_depends_on_its_seed_alone():
    baseline, run = np.random.default_rng(0).normal(size=(2, 20, 3))
    assert paired_bootstrap(np.var, run, baseline, seed=1) == paired_bootstrap(np.var, run, baseline, seed=1)
    assert paired_bootstrap(np.var, run, baseline, seed=1) != paired_bootstrap(np.var, run, baseline, seed=2)


def test_draws_are_with_replacement_and_of_equal_chances():
    drawn = np.array(list(draws(20, 3000)))
    assert drawn.shape == (3000, 20)
    counts = np.bincount(drawn.ravel())
    assert stats.chisquare(counts).pvalue > 0.001 and len(counts) == 20
    distinct = np.mean([len(set(images)) for images in drawn])
    assert distinct == pytest.approx(20 * (1 - (1 - 1 / 20) ** 20), abs=0.1)


def test_draws_depend_on_their_seed_alone():
    one, again, other, longer = (np.array(list(draws(9, *more))) for more in ((4, 1), (4, 1), (4, 2), (6, 1)))
    assert (one == again).all() and (longer[:4] == one).all()
    assert (one != other).any()
    assert (np.array(list(draws(9, 4))) == list(draws(9, 4, seed=0))).all()


def test_bootstrapped_is_students_quantile_times_the_deviation_of_what_is_redrawn():
    """Around the value itself; redrawn from n images, they vary by sqrt((n - 1) / n) too little."""
    redrawn = [4.9, 5.6, 5.2, 6.1]
    found = bootstrapped(4.5, redrawn, 12)
    sd = np.std(redrawn, ddof=1) * np.sqrt(12 / 11)
    assert (found.value, found.sd) == (4.5, pytest.approx(sd))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 11, 4.5, sd))


def test_the_paired_bootstrap_redraws_both_runs_by_draws():
    baseline, run = np.random.default_rng(0).normal(size=(2, 20, 3))
    redrawn = [np.var(run[images]) - np.var(baseline[images]) for images in draws(20, 50, seed=3)]
    expected = bootstrapped(np.var(run) - np.var(baseline), redrawn, 20)
    assert paired_bootstrap(np.var, run, baseline, resamples=50, seed=3) == expected


def test_paired_over_images_is_the_paired_t_test():
    values, baseline = np.random.default_rng(0).normal(size=(2, 7)).tolist()
    found, test = paired_over_images(values, baseline), stats.ttest_rel(values, baseline).confidence_interval()
    assert (found.low, found.high) == pytest.approx((test.low, test.high))
    assert found.value == pytest.approx(np.mean(values) - np.mean(baseline))


def test_what_gives_no_interval_is_refused():
    with pytest.raises(DeepCacheError, match="at least 3 seeds, not 2"):
        over_seeds([4.2, 4.7])
    with pytest.raises(DeepCacheError, match="finite"):
        over_seeds([4.2, 4.7, np.nan])
    with pytest.raises(DeepCacheError, match=r"\[0, 1, 2\] and \[0, 1, 3\]"):
        paired_over_seeds({0: 1.0, 1: 1.0, 2: 1.0}, {0: 1.0, 1: 1.0, 3: 1.0})
    run = np.zeros((5, 2))
    with pytest.raises(DeepCacheError, match="differ in shape"):
        paired_bootstrap(np.mean, run, run[1:])
    with pytest.raises(DeepCacheError, match="two images"):
        paired_bootstrap(np.mean, run[:1], run[:1])
    with pytest.raises(DeepCacheError, match="two resamples"):
        paired_bootstrap(np.mean, run, run, resamples=1)
    with pytest.raises(DeepCacheError, match="finite"):
        paired_bootstrap(lambda features: float("nan"), run, run)
    for value, redrawn in ((np.nan, [1.0, 2.0]), (1.0, [1.0, np.inf])):
        with pytest.raises(DeepCacheError, match="finite"):
            bootstrapped(value, redrawn, 5)
