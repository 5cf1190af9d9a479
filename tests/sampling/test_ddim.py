import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from deepcache import DeepCacheError
from deepcache.models.digits import ddpm_scheduler
from deepcache.sampling.ddim import ddim, ddim_timesteps


def predict(x, t):
    """A smooth, nonlinear stand-in for a network."""
    return torch.tanh(x * (1 + t / 1000)) + 0.1


@pytest.mark.parametrize("steps", [1, 7, 50, 1000])
def test_equals_diffusers_where_the_timesteps_are_the_same(steps):
    scheduler = DDIMScheduler.from_config(ddpm_scheduler().config, set_alpha_to_one=True, steps_offset=0)
    scheduler.set_timesteps(steps)
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours = ddim(predict, x, scheduler.timesteps.tolist(), scheduler.alphas_cumprod.double())
    theirs = x
    for t in scheduler.timesteps:
        theirs = scheduler.step(predict(theirs, t), t, theirs).prev_sample
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)  # diffusers keeps its alphas in float32


def test_equals_the_formula_written_out():
    """Eq. 12 of the DDIM paper at three timesteps, in numpy, with noise (eta = 1)."""
    alphas = ddpm_scheduler().alphas_cumprod.double()
    timesteps = (900, 400, 0)
    x = torch.randn(1, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours = ddim(predict, x, timesteps, alphas, eta=1.0, generator=torch.Generator().manual_seed(5))
    generator, value = torch.Generator().manual_seed(5), x.numpy()
    for t, after in zip(timesteps, (400, 0, None), strict=True):
        alpha, alpha_after = alphas[t].item(), 1.0 if after is None else alphas[after].item()
        noise = predict(torch.from_numpy(value), torch.tensor(t)).numpy()
        sigma = np.sqrt((1 - alpha_after) / (1 - alpha)) * np.sqrt(1 - alpha / alpha_after)
        clean = (value - np.sqrt(1 - alpha) * noise) / np.sqrt(alpha)
        value = np.sqrt(alpha_after) * clean + np.sqrt(1 - alpha_after - sigma**2) * noise
        if sigma > 0:
            value = value + sigma * torch.randn(x.shape, generator=generator, dtype=torch.float64).numpy()
    assert np.allclose(ours.numpy(), value, rtol=0, atol=1e-9)


def test_recovers_a_point_exactly_when_the_noise_is_known():
    target, alphas = torch.full((1, 1, 2, 2), 0.3, dtype=torch.float64), ddpm_scheduler().alphas_cumprod.double()

    def exact(x, t):
        return (x - alphas[t].sqrt() * target) / (1 - alphas[t]).sqrt()

    x = torch.randn(1, 1, 2, 2, dtype=torch.float64)
    assert torch.allclose(ddim(exact, x, ddim_timesteps(20), alphas), target, rtol=0, atol=1e-9)


def test_uniform_timesteps():
    assert ddim_timesteps(100) == tuple(range(990, -1, -10))
    for steps in (1, 3, 7, 91, 300, 999, 1000):
        stride = 1000 // steps  # as the original: from 0 up to the noisiest that the stride reaches
        original = []
        while len(original) * stride < 1000:
            original.append(len(original) * stride)
        assert ddim_timesteps(steps) == tuple(original[::-1])
    assert ddim_timesteps(3) == (999, 666, 333, 0)


def test_quadratic_timesteps():
    timesteps = ddim_timesteps(100, "quad")
    assert timesteps[:3] == (800, 783, 768)
    assert timesteps[-5:] == (1, 0, 0, 0, 0)
    assert len(timesteps) == 100
    gaps = -np.diff(timesteps)
    assert gaps[0] > 10 * gaps[-1], "quadratic spacing is dense where there is little noise"


@pytest.mark.parametrize("arguments", [(0,), (1001,), (10, "cubic")])
def test_bad_timesteps_are_refused(arguments):
    with pytest.raises(DeepCacheError):
        ddim_timesteps(*arguments)


def test_a_repeated_timestep_changes_nothing():
    x, alphas = torch.randn(1, 1, 2, 2, dtype=torch.float64), ddpm_scheduler().alphas_cumprod.double()
    once, twice = ddim(predict, x, (500, 20, 0), alphas), ddim(predict, x, (500, 20, 20, 0), alphas)
    assert torch.allclose(once, twice, rtol=0, atol=1e-12)


def test_reports_each_step():
    steps = []
    ddim(predict, torch.zeros(1, 1, 2, 2), ddim_timesteps(5), ddpm_scheduler().alphas_cumprod, on_step=steps.append)
    assert steps == [0, 1, 2, 3, 4]
