"""Rows by backward passes, against finite differences and against sampled errors."""

import numpy as np
import pytest
import torch

from deepcache import DeepCache, DeepCacheError
from deepcache.beyond.calibration.adjoint import Adjoint
from deepcache.beyond.calibration.joint import joint_weights
from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.calibration.recording import draw_probes, record
from deepcache.caching.branches import OUTPUT, find_feeder
from deepcache.caching.schedules import uniform
from deepcache.caching.weighted import Weighted
from deepcache.quality.partial import Partial
from deepcache.sampler import Sampler
from deepcache.sampling.families import load_model
from deepcache.sampling.unrounded import sample_pixels
from tests.beyond.tiny import BRANCH, SAMPLER, SEED, STEPS, TinyModel
from tests.caching.reference import feature_replaced
from tests.conftest import ROOT

PROMPTS = ["a photo of the digit three", "a photo of the digit eight"]


def shipped(name: str, precision: str = "float32"):
    folder = ROOT / "resources/checkpoints" / name
    return load_model(folder, torch.device("cpu"), precision, PROMPTS if name == "digits-sd" else None)


@torch.no_grad()
def differences(model, sampler, branch: int | str, step: int, other: int, amount: float) -> np.ndarray:
    """Change of each image's pixels where F_step moves towards F_other at call `step` alone, per unit of the way."""
    features, feeder = [], find_feeder(model.unet, branch)
    name = next(name for name, module in model.unet.named_modules() if module is feeder)

    def sampled(override):
        handle = feature_replaced(model.unet, name, override)
        try:
            return sample_pixels(model, range(2), SEED, sampler).astype(np.float64)
        finally:
            handle.remove()

    def moved(by: float):
        call = iter(range(1000))
        way = features[other] - features[step]
        return lambda feature: feature + by * way if next(call) == step else feature

    sampled(lambda feature: features.append(feature.clone()) or feature)
    return (sampled(moved(amount)) - sampled(moved(-amount))) / (2 * amount)


@pytest.mark.parametrize(
    ("name", "sampler", "branch"),
    [
        ("digits-ddpm", "ddim-6", 0),
        ("digits-ddpm", "ddim-6-quad", 4),
        ("digits-ddpm", "dpmpp-6", 2),
        ("digits-ldm", "ddim-5-cfg1.5", 0),
        ("digits-ldm", "dpmpp-6-cfg1.5", 2),
        ("digits-sd", "plms-5-cfg3", 1),
        ("digits-sd", "pndm-5-cfg3", 2),
        ("digits-sd", "ddim-5-cfg3", 1),
        ("digits-sd", "dpmpp-6-cfg3", 2),
        ("digits-sd", "euler-6-cfg3", 0),
        ("digits-ddpm", "ddim-6", OUTPUT),
        ("digits-ldm", "dpmpp-6-cfg1.5", OUTPUT),
        ("digits-sd", "plms-5-cfg3", OUTPUT),
    ],
)
def test_rows_are_what_finite_differences_show(name, sampler, branch):
    model, sampler = shipped(name), Sampler.parse(sampler)
    # Where pixels are clipped, images have kinks, at which differences are not derivatives.
    model.decode = lambda latents, rounded: 100 * latents.permute(0, 2, 3, 1)
    rows = record(model, sampler, branch, [range(2)], SEED, probes=1).rows
    calls = model.num_steps(sampler)
    assert rows.products.shape == (2, calls, calls)
    for step, other in ((1, 0), (calls - 2, 1), (2, calls - 1)):
        changed = differences(model, sampler, branch, step, other, 0.01)
        probes = draw_probes(changed.shape[1:], range(2), SEED, 1)[0].numpy()
        expected = (changed * probes).sum((1, 2, 3))
        found = rows.products[:, step, other] - rows.products[:, step, step]
        assert found == pytest.approx(expected, rel=0.01, abs=0.01 * np.linalg.norm(changed)), (step, other)


@pytest.mark.parametrize("name", ["digits-ldm", "digits-sd"])
def test_first_stages_are_differentiated_without_rounding_to_a_codebook(name):
    model = shipped(name)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, model.unet.config.in_channels, *[model.unet.config.sample_size] * 2, generator=generator)
    way = torch.randn(latents.shape, generator=generator)
    latents.requires_grad_()
    pixels = model.decode(latents, rounded=False)
    inside = ((pixels > 2) & (pixels < 253)).detach()
    assert inside.float().mean() > 0.1
    probe = torch.randn(pixels.shape, generator=generator) * inside
    exact = (torch.autograd.grad((pixels * probe).sum(), latents)[0] * way).sum()
    with torch.no_grad():
        after, before = (model.decode(latents + by * way, rounded=False) for by in (1e-3, -1e-3))
    assert float(((after - before) * probe).sum()) / 2e-3 == pytest.approx(float(exact), rel=0.01)


def test_predicted_errors_are_those_of_samples_where_these_are_small():
    model, sampler, images = shipped("digits-ddpm"), Sampler.parse("ddim-20"), range(4)
    rows = record(model, sampler, 0, [images], SEED, probes=3).rows
    uncached = sample_pixels(model, images, SEED, sampler)
    probes = draw_probes(uncached.shape[1:], images, SEED, 3).numpy()
    for interval, order in ((2, 0), (2, 1)):
        full = uniform(20, interval)
        weights = polynomial_weights(full, 20, order)
        with DeepCache(model.unet, schedule=full, reuse=Weighted(weights)) as cache:
            cache.start_trajectory()
            missed = uncached - sample_pixels(model, images, SEED, sampler)
        sampled = (missed * probes).sum((2, 3, 4)).reshape(-1)
        predicted = rows.errors(weights)
        assert abs(20 * np.log10(np.linalg.norm(predicted) / np.linalg.norm(sampled))) < 1, (interval, order)
        assert np.corrcoef(predicted, sampled)[0, 1] > 0.9, (interval, order)


def test_rows_in_half_precision_lead_to_weights_that_are_as_good():
    sampler, full = Sampler.parse("ddim-12"), uniform(12, 3)
    rows, half = (
        record(shipped("digits-ddpm", precision), sampler, 0, [range(3)], SEED).rows
        for precision in ("float32", "float16")
    )
    exact, found = (rows.squared_error(rows.errors(joint_weights(each, full, 1, 1.0))) for each in (rows, half))
    assert found == pytest.approx(exact, rel=0.05)
    assert not np.array_equal(rows.products, half.products)


@pytest.fixture
def tiny(unet2d):
    return TinyModel(unet2d)


def test_the_model_is_left_as_it_was(tiny):
    trained = [weight.requires_grad for weight in tiny.unet.parameters()]
    before = tiny.sample(range(2), SEED, SAMPLER)
    record(tiny, SAMPLER, BRANCH, [range(2)], SEED)
    with pytest.raises(KeyboardInterrupt):
        record(tiny, SAMPLER, BRANCH, [range(2)], SEED, on_call=interrupted_after(STEPS + 3))
    assert "forward" not in vars(tiny.unet)
    assert [weight.requires_grad for weight in tiny.unet.parameters()] == trained and all(trained)
    assert all(weight.grad is None for weight in tiny.unet.parameters())
    assert np.array_equal(tiny.sample(range(2), SEED, SAMPLER), before)


def interrupted_after(calls: int):
    left = iter(range(calls))

    def on_call():
        if next(left, None) is None:
            raise KeyboardInterrupt

    return on_call


def test_rows_depend_on_the_images_alone_and_a_recording_goes_on_where_it_was_stopped(tiny, tmp_path):
    batches, calls = [range(2), range(2, 3)], []
    whole = record(tiny, SAMPLER, BRANCH, [range(3)], SEED, probes=2, on_call=lambda: calls.append(1))
    assert len(calls) == 3 * STEPS
    partial = Partial(tmp_path / "partial.npz", {}, every=0.0)
    with pytest.raises(KeyboardInterrupt):
        record(tiny, SAMPLER, BRANCH, batches, SEED, 2, partial, interrupted_after(3 * STEPS + 2))
    before, calls = tiny.trajectories, []
    found = record(tiny, SAMPLER, BRANCH, batches, SEED, 2, partial, lambda: calls.append(1))
    assert tiny.trajectories == before + 1 and len(calls) == 6 * STEPS
    assert (found.images, found.probes, found.seed, found.rows.elements) == (3, 2, SEED, 256)
    assert np.allclose(found.gram, whole.gram, rtol=1e-5)
    by_image = [np.lexsort((np.arange(6), each.rows.images)) for each in (found, whole)]
    scale = np.abs(whole.rows.products).max()
    assert np.allclose(found.rows.products[by_image[0]], whole.rows.products[by_image[1]], rtol=0, atol=1e-4 * scale)


def test_what_cannot_be_recorded_is_refused(tiny):
    adjoint = Adjoint(tiny.unet, BRANCH)
    with adjoint.differentiable([tiny.unet]):
        pixels = tiny.decode(tiny.make_latents(range(2), SEED, SAMPLER))
        with pytest.raises(DeepCacheError, match="called with a batch of 2 for 3 images: not recorded"):
            adjoint.products(pixels.new_zeros(3, 1), pixels.new_zeros(3, 1))
        with pytest.raises(DeepCacheError, match="not finite: record with --precision float32"):
            adjoint.products(pixels, torch.full_like(pixels, torch.inf))
    tiny.num_steps = lambda sampler: STEPS // 2
    with pytest.raises(DeepCacheError, match="called 12 times in 6 steps: not recorded"):
        record(tiny, SAMPLER, BRANCH, [range(2)], SEED)
