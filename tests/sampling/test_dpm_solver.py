import pytest
import torch

from deepcache import DeepCacheError
from deepcache.models.digits import ddpm_scheduler
from deepcache.sampling.ddim import ddim, ddim_timesteps
from deepcache.sampling.dpm_solver import dpm_solver, make_dpm_solver

SCHEDULER = ddpm_scheduler()
ALPHAS = SCHEDULER.alphas_cumprod.double()
SPREAD = 0.25  # variance of the data


def exact_noise(x, t):
    """Of normally distributed data with mean 0: the expected noise is a multiple of x."""
    alpha = ALPHAS[t]
    return x * (1 - alpha).sqrt() / (alpha * SPREAD + 1 - alpha)


def test_error_falls_with_the_square_of_the_steps():
    """Of such data the ODE's solution is known: x grows as its standard deviation."""
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    errors = {}
    for steps in (24, 49):  # begins at 24 and 49 times 1000 // (steps + 1): 960 and 980
        first = ALPHAS[1000 // (steps + 1) * steps]
        exact = x * (SPREAD / (first * SPREAD + 1 - first)).sqrt()
        found = dpm_solver(exact_noise, x, steps, SCHEDULER.config)
        errors[steps] = float((found / exact - 1).abs().max())
        euler = ddim(exact_noise, x, range(1000 // (steps + 1) * steps, 0, -1000 // (steps + 1)), ALPHAS)
        assert errors[steps] < 0.5 * float((euler / exact - 1).abs().max())
    assert errors[49] < errors[24] / 2.5


def test_many_steps_lead_where_many_of_ddim_lead():
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))

    def predict(x, t):
        return exact_noise(x, t) + 0.05 * torch.tanh(x)

    exact = ddim(predict, x, ddim_timesteps(250), ALPHAS)
    far, near = (dpm_solver(predict, x, steps, SCHEDULER.config) - exact for steps in (9, 249))
    assert near.abs().max() < 0.1 * far.abs().max()


def test_reports_each_step():
    steps = []
    dpm_solver(exact_noise, torch.zeros(1, 1, 2, 2), 5, SCHEDULER.config, on_step=steps.append)
    assert steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("steps", [0, 1000])
def test_as_many_steps_as_there_are_timesteps(steps):
    with pytest.raises(DeepCacheError, match=f"steps of dpmpp must be between 1 and 999, not {steps}"):
        make_dpm_solver(steps, SCHEDULER.config)
    scheduler = make_dpm_solver(999, SCHEDULER.config)
    scheduler.set_timesteps(999)
    assert len(set(scheduler.timesteps.tolist())) == 999
