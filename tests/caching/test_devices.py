"""Whole trajectories of real architectures on each device: what is cached, what is replayed, the authors' plug-in."""

from types import SimpleNamespace

import pytest
import torch
from DeepCache import DeepCacheSDHelper
from diffusers import DDIMScheduler

from deepcache import DeepCache
from deepcache.caching.graphs import CudaRecorder
from deepcache.models.benchmarked import BENCHMARKED, random_inputs, random_unet
from deepcache.precision import exact
from tests.conftest import DEVICES

INTERVAL, STEPS = 5, 12
HALF = pytest.mark.gpu
# Model, side of the latent, precision; in half precision a CPU takes minutes.
CASES = [
    ("digits-sd", None, torch.float32),
    ("ddpm-cifar10", 16, torch.float32),
    pytest.param("sd-v1-5", 32, torch.float16, marks=HALF),
    pytest.param("sd-v1-5", 32, torch.bfloat16, marks=HALF),
    pytest.param("ldm4g-imagenet", 32, torch.float16, marks=HALF),
]


@pytest.fixture(autouse=True)
def float32_is_float32():
    """TF32 would round what is compared."""
    with exact():
        yield


class Sampled:
    """An architecture with random weights, and its samples from one noise."""

    def __init__(self, name, resolution, dtype, device):
        one = BENCHMARKED[name]
        self.branch = one.branch
        self.unet = random_unet(one.build(), 0, torch.device(device), dtype)
        self.inputs = random_inputs(self.unet, 1, one, resolution, 0)
        self.scheduler = DDIMScheduler()
        self.scheduler.set_timesteps(STEPS, device=device)

    def sample(self) -> torch.Tensor:
        rest = {name: value for name, value in self.inputs.items() if name not in ("sample", "timestep")}
        x = self.inputs["sample"]
        with torch.no_grad():
            for t in self.scheduler.timesteps:
                noise = self.unet(x, t, **rest, return_dict=False)[0]
                x = self.scheduler.step(noise[:, : x.shape[1]], t, x, return_dict=False)[0]
        return x

    def cached(self, interval=INTERVAL, **modes) -> list[torch.Tensor]:
        """Of two trajectories, of which the second is replayed from its first step on where anything is."""
        with DeepCache(self.unet, interval, self.branch, **modes) as cache:
            found = []
            for _ in range(2):
                cache.start_trajectory()
                found.append(self.sample())
        return found

    def plugin(self) -> torch.Tensor:
        helper = DeepCacheSDHelper(SimpleNamespace(unet=self.unet, scheduler=self.scheduler))
        helper.set_params(cache_interval=INTERVAL, cache_branch_id=self.branch)
        helper.enable()
        try:
            return self.sample()
        finally:
            helper.disable()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "resolution", "dtype"), CASES)
def test_eager_is_replayed_is_the_plug_in(name, resolution, dtype, device):
    sampled = Sampled(name, resolution, dtype, device)
    full = sampled.sample()
    assert full.isfinite().all()
    assert all(torch.equal(one, full) for one in sampled.cached(interval=1))
    eager, again = sampled.cached()
    assert torch.equal(eager, again)
    assert not torch.equal(eager, full), "caching changes a sample, else this test would show nothing"
    if device == "cuda":
        recorder = Counting()
        assert all(torch.equal(one, eager) for one in sampled.cached(graph=recorder))
        assert recorder.recorded == 2
    assert torch.equal(sampled.plugin(), eager)
    assert torch.equal(sampled.sample(), full), "nothing remains"


class Counting(CudaRecorder):
    """Counts what is recorded."""

    def __init__(self):
        super().__init__()
        self.recorded = 0

    def __call__(self, function):
        self.recorded += 1
        return super().__call__(function)


@pytest.mark.gpu
@pytest.mark.parametrize("modes", [{}, {"graph": True}], ids=["eager", "replayed"])
def test_no_step_of_a_real_architecture_waits(modes):
    sampled = Sampled("ddpm-cifar10", None, torch.float16, "cuda")
    with DeepCache(sampled.unet, INTERVAL, sampled.branch, **modes) as cache:
        cache.start_trajectory()
        trajectory(sampled)  # chooses kernels and records, which waits
        torch.cuda.set_sync_debug_mode("error")
        try:
            cache.start_trajectory()
            trajectory(sampled)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def trajectory(sampled) -> None:
    """The U-Net's calls alone: the scheduler's step looks its constants up on the host."""
    with torch.no_grad():
        for t in sampled.scheduler.timesteps:
            sampled.unet(sampled.inputs["sample"], t, return_dict=False)
