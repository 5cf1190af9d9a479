"""The device that is not there does what a real one would."""

import pytest
import torch

from deepcache import DeepCache
from deepcache.provenance import provenance
from tests.conftest import ROOT, make_unet2d_condition
from tests.devices.absent import DEVICE, Wait, absent_device
from tests.devices.checkpoints import TWO_LEVELS, pixel_unet


def attending_unet():
    down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    return make_unet2d_condition(**TWO_LEVELS, down_block_types=down, up_block_types=up)


def trajectory(unet, dtype: torch.dtype, steps: int = 3) -> torch.Tensor:
    """The U-Net's last output, on the U-Net's device; nothing is fetched."""
    device, attends = next(unet.parameters()).device, hasattr(unet.config, "cross_attention_dim")
    x = torch.randn(2, unet.config.in_channels, 16, 16, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    options = {"encoder_hidden_states": torch.ones(2, 5, 16, device=device, dtype=dtype)} if attends else {}
    cache = DeepCache.of(unet)
    cache.start_trajectory()
    for step in range(steps):
        cache.next_step()
        x = unet(x, torch.full((), 10 * (steps - step), device=device), **options).sample.to(dtype)
    return x


@pytest.mark.parametrize("build", [pixel_unet, attending_unet])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_values_are_those_of_the_cpu(build, dtype):
    unet = build().to(dtype)
    with torch.no_grad(), DeepCache(unet, interval=2, branch=1):
        expected = trajectory(unet, dtype)
    with absent_device() as device, torch.no_grad():
        unet.to(DEVICE)
        sent = device.waits.total()
        with DeepCache(unet, interval=2, branch=1) as cache:
            found = trajectory(unet, dtype)
            assert found.device == DEVICE and found.dtype == dtype
            assert cache.full_steps == (0, 2)
        assert device.waits.total() == sent + 1  # the latent
        found = found.cpu()
    tolerance = {torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 2e-1}[dtype]
    assert (found - expected).float().abs().max() < tolerance


@pytest.mark.parametrize("build", [pixel_unet, attending_unet])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_no_step_waits_and_features_are_half(build, dtype):
    unet = build()
    with absent_device() as device, torch.no_grad(), torch.autocast("cuda", dtype):
        unet.to(DEVICE)
        sent = device.waits.total()
        kept = 2 * 16 * 16 * 16  # numbers of the feature
        with DeepCache(unet, interval=2, branch=1) as cache:
            trajectory(unet, torch.float32, steps=2)
            assert cache.full_steps == (0,) and cache.bytes_cached == 2 * kept
        assert device.waits.total() == sent + 1


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x.to("cpu", torch.float64),
        lambda x: bool((x > 0).all()),
        lambda x: x.tolist(),
        lambda x: torch.equal(x, x),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.zeros(3).copy_(x),
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=DEVICE),
        lambda x: torch.zeros(3).to(DEVICE),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.masked_scatter(x > 0, x[x > 0]),
        lambda x: torch.cuda.synchronize(),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_waits_are_seen(wait, inference):
    with absent_device(lambda place: False), torch.inference_mode(inference):
        x = torch.ones(3, device=DEVICE)
        with pytest.raises(Wait, match=r"tests.devices.test_absent:\S+ waits"):
            wait(x)


@pytest.mark.parametrize("inference", [False, True])
def test_what_does_not_wait(inference):
    with absent_device(lambda place: False) as device, torch.inference_mode(inference):
        x = torch.full((3,), 2.0, device=DEVICE)
        x += 2 * torch.arange(3, device=DEVICE) + torch.tensor(1.0)  # a number on the CPU goes with the operation
        x = torch.where(x > 2, x, 0).to(torch.zeros(3).to(DEVICE, non_blocking=True).dtype)
        assert x.shape == (3,) and not device.waits


@pytest.mark.parametrize("other", ["cpu", "cuda:0", "cuda"])
def test_tensors_of_two_devices_do_not_go_together(other):
    with absent_device(), pytest.raises(RuntimeError, match=r"two.* devices"):
        torch.ones(3, device=DEVICE) + torch.ones(3, device=other)


def test_records_say_what_tf32_may_round():
    with absent_device():
        assert provenance(DEVICE)["tf32"] == ["convolution"]  # torch's default
        assert provenance(DEVICE, measured_exactly=True)["tf32"] == []
        assert provenance("cpu")["tf32"] == []
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            assert provenance(DEVICE)["tf32"] == ["convolution", "matmul"]
            assert provenance(DEVICE, measured_exactly=True)["tf32"] == []
            assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False


def test_tf32_is_set_in_one_place():
    """So cached and uncached runs have the same."""
    files = [path for folder in ("deepcache", "workflow") for path in (ROOT / folder).rglob("*.py")]
    setting = {
        path.name
        for path in files
        if "allow_tf32" in path.read_text(encoding="utf-8") or "fp32_precision" in path.read_text(encoding="utf-8")
    }
    assert setting == {"precision.py"}
