"""Time and bytes of a forecast beside its shallow pass."""

import pytest
import torch

from deepcache.beyond.comparison.forecast_cost import measure_forecast_cost
from deepcache.models.dummy_inputs import dummy_inputs
from tests.conftest import make_unet2d


def test_measures_the_feature_that_the_branch_keeps():
    with torch.device("meta"):
        unet = make_unet2d()
    runs = []
    cost = measure_forecast_cost(
        unet, 2, lambda place: dummy_inputs(unet, 3, None, place), torch.device("cpu"), 2, on_run=runs.append
    )
    assert cost.shape == (3, 8, 16, 16)
    assert cost.bytes == {order: (order + 1) * 3 * 8 * 16 * 16 * 4 for order in (0, 1, 2)}
    assert runs == ["shallow", "1", "2", "2", "1", "shallow", "shallow", "1", "2"]
    assert len(cost.shallow.seconds) == len(cost.forecasts[2].seconds) == 2
    assert cost.share(1) == pytest.approx(cost.forecasts[1].median / cost.shallow.median)
    assert 0 < cost.share(1) < 1
