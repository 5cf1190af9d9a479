import time

import pytest
import torch

from deepcache.cost.timing import Timing, measure


def test_variants_are_interleaved_in_alternating_order_after_a_warm_up():
    order = []
    variants = {name: lambda name=name: order.append(name) for name in ("full", "cached")}
    found = measure(variants, 3, torch.device("cpu"))
    assert order == ["full", "cached", "cached", "full"] * 2
    assert {name: len(one.seconds) for name, one in found.items()} == {"full": 3, "cached": 3}


def test_measures_wall_clock_time():
    found = measure({"slow": lambda: time.sleep(0.02), "fast": lambda: None}, 3, torch.device("cpu"))
    assert 0.02 <= found["slow"].median < 0.2
    assert found["fast"].median < 0.01


def test_median_and_spread():
    assert Timing((1.0, 4.0, 2.0)).median == 2.0
    assert Timing((1.0, 4.0, 2.0)).spread == pytest.approx(1.5)
