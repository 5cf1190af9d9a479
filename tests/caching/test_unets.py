"""Other U-Nets than Stable Diffusion's: several attentions a layer, layers that run in parts, video."""

import pytest
import torch
from diffusers import AudioLDM2UNet2DConditionModel, MotionAdapter, UNetMotionModel
from diffusers.pipelines.free_noise_utils import AnimateDiffFreeNoiseMixin

from deepcache import DeepCache, num_branches
from tests.caching import reference
from tests.caching.reference import overridden
from tests.conftest import make_unet2d_condition, make_unet_spatio_temporal

STEPS = (900, 700, 500, 300, 100)


def assert_exact(unet, branch, feeder, call, monkeypatch, interval=3):
    """A made-up trajectory with caching against the full network with the feature overridden."""
    monkeypatch.setitem(reference.FEEDERS, type(unet).__name__, {branch: feeder})

    @torch.no_grad()
    def sample():
        x = torch.randn(call.shape, generator=torch.Generator().manual_seed(2))
        for t in STEPS:
            x = x - 0.1 * call(unet, x, t)
        return x

    full_steps = tuple(range(0, len(STEPS), interval))
    with DeepCache(unet, interval, branch) as cache:
        ours = sample()
        assert cache.full_steps == full_steps
    with overridden(unet, branch, full_steps):
        assert torch.equal(ours, sample())
    assert not torch.equal(ours, sample())


def audio(unet, x, t):
    """With both of its contexts."""
    generator = torch.Generator().manual_seed(5)
    first, second = torch.randn(2, 6, 8, generator=generator), torch.randn(2, 3, 12, generator=generator)
    return unet(x, t, encoder_hidden_states=first, encoder_hidden_states_1=second).sample


audio.shape = (2, 4, 16, 16)


@pytest.mark.parametrize(
    ("branch", "feeder"),
    [
        (0, "up_blocks.1.attentions.7"),  # four a layer
        (1, "up_blocks.1.attentions.3"),
        (2, "up_blocks.0"),
        (3, "up_blocks.0.attentions.7"),
        (4, "up_blocks.0.attentions.3"),
        (5, "mid_block"),
    ],
)
def test_audioldm2(monkeypatch, branch, feeder):
    torch.manual_seed(0)
    unet = AudioLDM2UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=((None, 8, 12, 12),) * 2,
    ).eval()
    assert num_branches(unet) == 6 and len(unet.up_blocks[1].attentions) == 3 * 4
    assert_exact(unet, branch, feeder, audio, monkeypatch)


def video(unet, x, t):
    """Eight frames."""
    context = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(5))
    return unet(x, t, encoder_hidden_states=context.repeat(x.shape[2], 1, 1)).sample


video.shape = (1, 4, 8, 16, 16)


class FreeNoise(AnimateDiffFreeNoiseMixin):
    """What of AnimateDiff's pipelines makes a U-Net run in parts."""

    def __init__(self, unet):
        self.unet = unet


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    ("branch", "feeder"), [(0, "up_blocks.3.motion_modules.1"), (2, "up_blocks.2"), (4, "up_blocks.2.motion_modules.0")]
)
def test_animatediff_with_free_noise(monkeypatch, split, branch, feeder):
    torch.manual_seed(0)
    image = make_unet2d_condition()
    adapter = MotionAdapter(block_out_channels=(8, 8, 16, 16), motion_num_attention_heads=2, motion_norm_num_groups=4)
    unet = UNetMotionModel.from_unet2d(image, adapter).eval()
    plain = sample_once(unet)
    free = FreeNoise(unet)
    if split:
        free.enable_free_noise_split_inference(spatial_split_size=64, temporal_split_size=3)
        assert torch.allclose(sample_once(unet), plain, rtol=0, atol=1e-5)
    assert num_branches(unet) == 12
    assert_exact(unet, branch, feeder, video, monkeypatch)


@torch.no_grad()
def sample_once(unet):
    """One call."""
    return video(unet, torch.ones(video.shape), 500)


def spatio_temporal(unet, x, t):
    """Three frames, with what Stable Video Diffusion is told of them."""
    context = torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(7))
    return unet(x, t, context, added_time_ids=torch.tensor([[6.0, 127.0, 0.02]])).sample


spatio_temporal.shape = (1, 3, 4, 8, 8)


@pytest.mark.parametrize(
    ("branch", "feeder"),
    [(0, "up_blocks.1.attentions.1"), (2, "up_blocks.0"), (4, "up_blocks.0.resnets.0"), (5, "mid_block")],
)
def test_spatio_temporal(monkeypatch, branch, feeder):
    unet = make_unet_spatio_temporal()
    assert num_branches(unet) == 6
    assert_exact(unet, branch, feeder, spatio_temporal, monkeypatch, interval=2)
