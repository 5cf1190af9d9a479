"""What takes the place of the skipped feature, each kind by itself."""

import numpy as np
import pytest
import torch

from deepcache import DeepCacheError, Forecast, Hold, Reuse, Zeros

SHAPE = (2, 3, 4, 4)
EVEN, UNEVEN = (0, 5, 10, 15, 20), (0, 3, 4, 11, 18)
KINDS = [Hold(), Zeros(), Forecast(0), Forecast(1), Forecast(3)]
each_kind = pytest.mark.parametrize("reuse", KINDS, ids=["hold", "zeros", "forecast0", "forecast1", "forecast3"])


def random_features(count: int, dtype=torch.float64) -> list[torch.Tensor]:
    """Features as a U-Net might make them; shape (B, C, H, W) = (2, 3, 4, 4)."""
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(SHAPE, dtype=torch.float64, generator=generator).to(dtype) for _ in range(count)]


def polynomial(degree: int):
    """A polynomial of the step for each element, with random coefficients."""
    coefficients = random_features(degree + 1)
    return lambda step: sum(coefficient * (step / 10) ** power for power, coefficient in enumerate(coefficients))


def fed(reuse: Reuse, nodes, features) -> Reuse:
    """The object, with a new trajectory's features observed."""
    reuse.reset()
    for node, feature in zip(nodes, features, strict=True):
        reuse.observe(node, feature)
    return reuse


def test_hold_is_the_last_feature_itself():
    features = random_features(3)
    hold = fed(Hold(), EVEN[:3], features)
    assert all(torch.equal(hold.predict(step), features[-1]) for step in (11, 12, 400))
    assert hold.held[0] is features[-1]


def test_zeros_are_zeros_of_the_same_shape_and_precision():
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        feature = random_features(1, dtype)[0]
        predicted = fed(Zeros(), [0], [feature]).predict(1)
        assert torch.equal(predicted, torch.zeros(SHAPE, dtype=dtype)) and predicted.dtype == dtype
        assert feature.abs().sum() > 0, "what was observed is not overwritten"


@each_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_prediction_has_the_shape_and_precision_of_the_feature(reuse, dtype):
    features = random_features(4, dtype)
    before = [feature.clone() for feature in features]
    predicted = fed(reuse, UNEVEN[:4], features).predict(13)
    assert predicted.shape == SHAPE and predicted.dtype == dtype
    assert all(torch.equal(*pair) for pair in zip(features, before, strict=True)), "the features are left alone"


@pytest.mark.parametrize("nodes", [EVEN, UNEVEN])
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_forecast_weights_sum_to_one_and_pick_the_feature_at_a_node(order, nodes):
    forecast = fed(Forecast(order), nodes, random_features(5))
    kept = nodes[-(order + 1) :]
    for step in range(nodes[-1], nodes[-1] + 9):
        assert sum(forecast.weights(step)) == pytest.approx(1, abs=1e-9)
        assert len(forecast.weights(step)) == order + 1
    for i, node in enumerate(kept):
        assert forecast.weights(node) == [float(i == j) for j in range(order + 1)]


def test_forecast_weights_of_a_line_and_a_parabola_worked_out_by_hand():
    assert fed(Forecast(1), (0, 5), random_features(2)).weights(7) == pytest.approx([-0.4, 1.4])
    assert fed(Forecast(2), (0, 2, 6), random_features(3)).weights(8) == pytest.approx([1.0, -2.0, 2.0])


@pytest.mark.parametrize("nodes", [EVEN, UNEVEN])
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_forecast_is_exact_for_polynomials_of_its_order_and_no_higher(order, nodes):
    for degree in range(order + 2):
        truth = polynomial(degree)
        forecast = fed(Forecast(order), nodes, [truth(node) for node in nodes])
        for step in range(nodes[-1] + 1, nodes[-1] + 6):
            error = (forecast.predict(step) - truth(step)).abs().max().item()
            assert error < 1e-10 if degree <= order else error > 1e-6, (degree, step)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_forecast_equals_numpys_polynomial_through_the_points(order):
    features = random_features(5)
    forecast = fed(Forecast(order), UNEVEN, features)
    kept = np.array(UNEVEN[-(order + 1) :]) / 20
    values = torch.stack(features[-(order + 1) :]).flatten(1).numpy()
    for step in (19, 22, 25):
        coefficients = np.polynomial.polynomial.polyfit(kept, values, order)
        expected = np.polynomial.polynomial.polyval(step / 20, coefficients)
        assert np.allclose(forecast.predict(step).flatten().numpy(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_forecast_uses_as_many_points_as_there_are_at_the_start(order):
    features = random_features(order + 1)
    for count in range(1, order + 2):
        started = fed(Forecast(order), UNEVEN[:count], features[:count])
        lower = fed(Forecast(count - 1), UNEVEN[:count], features[:count])
        assert torch.equal(started.predict(20), lower.predict(20))
        assert len(started.weights(20)) == count
    assert torch.equal(fed(Forecast(order), [0], features[:1]).predict(3), features[0])


def test_forecast_of_order_zero_holds():
    features = random_features(4)
    assert torch.equal(fed(Forecast(0), UNEVEN[:4], features).predict(12), features[-1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_forecast_of_half_precision_features_is_summed_in_single_precision(dtype):
    truth = polynomial(3)
    features = [truth(node).to(dtype) for node in UNEVEN]
    forecast = fed(Forecast(3), UNEVEN, features)
    weights, step = forecast.weights(21), 21
    exact = sum(weight * feature.double() for weight, feature in zip(weights, features[-4:], strict=True))
    naive = torch.zeros(SHAPE, dtype=dtype)
    for weight, feature in zip(weights, features[-4:], strict=True):
        naive = naive + weight * feature
    ours = forecast.predict(step)
    assert ours.dtype == dtype

    # Rounded once at the end: half a unit in the last place. In half precision, every term adds its own error.
    rounding = exact.abs() * torch.finfo(dtype).eps / 2
    assert ((ours.double() - exact).abs() <= rounding + 1e-5).all()
    assert ((naive.double() - exact).abs() > rounding + 1e-5).float().mean() > 0.3


def test_forecast_of_single_precision_stays_in_single_and_of_double_in_double():
    for dtype in (torch.float32, torch.float64):
        forecast = fed(Forecast(2), UNEVEN[:3], random_features(3, dtype))
        terms = zip(forecast.weights(7), random_features(3, dtype), strict=True)
        exact = sum(weight * feature.double() for weight, feature in terms)
        error = (forecast.predict(7).double() - exact).abs().max().item()
        assert error < 50 * torch.finfo(dtype).eps
        assert dtype == torch.float64 or error > 0


@pytest.mark.parametrize(
    ("reuse", "count"), [(Hold(), 1), (Zeros(), 1), (Forecast(0), 1), (Forecast(), 2), (Forecast(3), 4)]
)
def test_bytes_held_are_those_of_the_features_that_are_needed(reuse, count):
    assert reuse.nbytes == 0 and reuse.held == ()
    for dtype in (torch.float32, torch.float16):
        one = torch.empty(SHAPE, dtype=dtype).nbytes
        assert one == 2 * 3 * 4 * 4 * dtype.itemsize
        seen = []
        reuse.reset()
        for node, feature in zip(EVEN, random_features(5, dtype), strict=True):
            reuse.observe(node, feature)
            reuse.predict(node + 1)
            seen.append(reuse.nbytes)
        assert seen == [min(i, count) * one for i in range(1, 6)]
        assert len(reuse.held) == count


@each_kind
def test_reset_forgets_the_trajectory(reuse):
    fed(reuse, EVEN, random_features(5))
    reuse.reset()
    assert reuse.nbytes == 0 and reuse.held == ()
    smaller = [feature[:1, :2] + 1 for feature in random_features(2)]
    for node, feature in zip((0, 4), smaller, strict=True):
        reuse.observe(node, feature)
    again = reuse.predict(6)
    fresh = fed(type(reuse)(*([reuse.order] if isinstance(reuse, Forecast) else [])), (0, 4), smaller).predict(6)
    assert torch.equal(again, fresh) and again.shape == (1, 2, 4, 4)


def test_default_forecast_is_a_line():
    assert Forecast().order == 1


@pytest.mark.parametrize("order", [-1, 1.0, 0.5, "1", None, True, False])
def test_forecast_refuses_an_order_that_is_no_natural_number(order):
    with pytest.raises(DeepCacheError, match="order of a forecast must be an integer of at least 0, not"):
        Forecast(order)


def test_a_kind_of_ones_own_needs_all_the_methods():
    class Incomplete(Reuse):
        def reset(self):
            pass

    with pytest.raises(TypeError, match="abstract"):
        Incomplete()
