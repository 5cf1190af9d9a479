"""Memory of a trajectory, against what the shapes of tensors predict."""

import math
import sys
from pathlib import Path

import pytest
import torch

from deepcache import DeepCache
from deepcache.beyond.caching.forecast import Forecast
from deepcache.caching.branches import find_cut
from deepcache.caching.layer_outputs import output_watched
from deepcache.cost.memory import LiveTensors, measure_memory
from deepcache.models.dummy_inputs import dummy_inputs
from tests.conftest import make_unet2d, make_unet2d_condition

CPU = torch.device("cpu")
BATCH = 3


@torch.no_grad()
def follow(unet, cache=None):
    """The memory of four steps that all have the same input."""
    inputs = dummy_inputs(unet, BATCH, None, CPU, tokens=7)

    def sample() -> None:
        for _ in range(4):
            if cache is not None:
                cache.next_step()
            unet(**inputs)

    return measure_memory(unet, sample, CPU, cache)


def feature_bytes(make, branch: int, itemsize: int = 4) -> int:
    """B x C x H x W x itemsize of a branch's feature, from the shapes of a U-Net without weights."""
    unet, shapes = make().to("meta"), []
    with output_watched(find_cut(unet, branch).feeder, lambda feature: shapes.append(feature.shape)):
        unet(**dummy_inputs(unet, BATCH, None, "meta", tokens=7))
    [shape] = shapes
    assert len(shape) == 4
    return math.prod(shape) * itemsize


@pytest.mark.parametrize(
    ("make", "branch"),
    [*((make_unet2d, branch) for branch in range(12)), *((make_unet2d_condition, branch) for branch in (0, 4, 11))],
)
def test_caching_takes_what_the_shape_of_the_feature_predicts(make, branch):
    unet = make()
    without = follow(unet)
    with DeepCache(unet, interval=2, branch=branch) as cache:
        found = follow(unet, cache)
    predicted = feature_bytes(make, branch)
    assert without.cached == 0
    assert found.cached == predicted
    first, shallow, second, again = (peak - without.peaks[0] for peak in found.peaks)
    assert len(set(without.peaks)) == 1, "nothing is left of a step"
    assert first == predicted, "the first full step has a copy of the feature beside its own tensors"
    # So have later ones the feature before, but where the peak is behind the cut, when it has been given up.
    assert second == (0 if (make, branch) == (make_unet2d, 2) else predicted)
    assert shallow == again <= predicted
    assert found.peak == max(found.peaks)


def test_half_precision_takes_half(unet2d):
    with DeepCache(unet2d.to(torch.bfloat16), interval=2, branch=4) as cache:
        assert follow(unet2d, cache).cached == feature_bytes(make_unet2d, 4, itemsize=2)


def test_a_forecast_keeps_two_features(unet2d):
    with DeepCache(unet2d, interval=2, branch=4, reuse=Forecast(order=1)) as cache:
        assert follow(unet2d, cache).cached == 2 * feature_bytes(make_unet2d, 4)


def test_nothing_of_it_stays_on_the_model(unet2d):
    def sample() -> None:
        unet2d(torch.zeros(1, 1, 16, 16), 0)
        raise RuntimeError("failed on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        measure_memory(unet2d, sample, CPU)
    assert not unet2d._forward_hooks and not unet2d._forward_pre_hooks


def test_storages_count_as_long_as_they_live():
    before = torch.zeros(1000)
    with LiveTensors() as tensors:
        view = before.view(10, 100).add_(1)
        assert tensors.live == 0, "neither what was there before nor a view of it"
        made = view + 1
        part = made[:2]
        assert tensors.live == 4000
        del made
        assert tensors.live == 4000, "a view keeps the storage"
        del part
        assert (tensors.live, tensors.peak) == (0, 4000)
        tensors.restart()
        kept = before.double()
        assert (tensors.live, tensors.peak) == (8000, 8000)
    del kept
    assert tensors.live == 0


def test_the_resident_set_is_that_of_the_trajectory_alone(unet2d):
    size = 200_000_000

    @torch.no_grad()
    def sample(extra: int = 0) -> None:
        unet2d(torch.zeros(1, 1, 16, 16), 0)
        bytearray(b"x" * extra)

    large, small = (measure_memory(unet2d, lambda n=n: sample(n), CPU).resident for n in (size, 0))
    if Path("/proc/self/clear_refs").exists():
        assert large - small > 0.9 * size
        assert small > 10_000_000
    else:
        assert sys.platform != "linux" and large is small is None
