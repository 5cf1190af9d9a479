from deepcache.cost.speed_up import speed_up, speed_ups


def test_it_is_the_median_of_the_ratios_within_each_repetition():
    uncached, cached = (2.0, 30.0, 4.0), (1.0, 10.0, 4.0)
    assert speed_ups(uncached, cached) == [2.0, 3.0, 1.0]
    assert speed_up(uncached, cached) == 2.0
