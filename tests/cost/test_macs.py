"""MACs: by hand, by an independent count, and against the paper's tables."""

import copy
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from torch import nn
from torch.nn import functional as F

from deepcache import DeepCache, DeepCacheError, nonuniform, uniform
from deepcache.caching.schedules import average_macs
from deepcache.cost.macs import (
    branch_macs,
    branches_macs,
    compute_macs,
    count_ops_and_params,
)
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.paper import sd_v1_5
from tests.conftest import make_unet2d, make_unet2d_condition

TWO_LEVELS = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}


class Small(nn.Module):
    """For 3x8x8 inputs: convolutions and a linear layer, and much that is not to be counted."""

    def __init__(self):
        super().__init__()
        self.strided = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 6, 1, groups=2)
        self.head = nn.Linear(96, 5, bias=False)

    def forward(self, x, scale=None, fail=False):
        x = F.silu(self.grouped(self.norm(self.strided(x))))
        tokens = x.flatten(2)
        tokens = tokens + F.scaled_dot_product_attention(tokens, tokens, tokens)
        tokens = tokens + torch.einsum("bij,bkj->bik", tokens, tokens) @ tokens
        if fail:
            raise RuntimeError("failed on purpose")
        out = self.head(tokens.flatten(1))
        return {"out": out if scale is None else out * scale["by"], "nothing": None}


STRIDED = 4 * 4 * 4 * (3 * 3 * 3)  # output size times weights of one output
GROUPED = 6 * 4 * 4 * 2
HEAD = 5 * 96
SMALL_MACS = STRIDED + GROUPED + HEAD
SMALL_PARAMS = (4 * 27 + 4) + (4 + 4) + (6 * 2 + 6) + HEAD


def independent_count(model: nn.Module, call) -> int:
    """Count while `call()` runs, from the shapes that layers return."""
    counted = []

    def hook(module, args, output):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            counted.append(output.numel() * module.weight[0].numel())

    handles = [module.register_forward_hook(hook) for module in model.modules()]
    with torch.no_grad():
        call()
    for handle in handles:
        handle.remove()
    return sum(counted)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_convolutions_and_linear_layers_by_hand(device):
    model, x = Small().to(device), torch.zeros(1, 3, 8, 8, device=device)
    assert count_ops_and_params(model, (x,)) == (SMALL_MACS, SMALL_PARAMS)
    assert count_ops_and_params(model, x) == (SMALL_MACS, SMALL_PARAMS)
    assert count_ops_and_params(model, {"x": x, "scale": {"by": x.sum()}}) == (SMALL_MACS, SMALL_PARAMS)
    assert count_ops_and_params(model, (x.repeat(3, 1, 1, 1),))[0] == 3 * SMALL_MACS
    by_module = count_ops_and_params(model, (x,), layer_wise=True)[2]
    assert by_module == {"": SMALL_MACS, "strided": STRIDED, "norm": 0, "grouped": GROUPED, "head": HEAD}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("layer", "size", "positions"),
    [
        (nn.Conv1d(4, 6, 4), (9,), 6),
        (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(1, 0), dilation=(2, 1), bias=False), (9, 8), 4 * 4),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (9, 8), 5 * 4),
        (nn.Conv2d(4, 6, 4, dilation=2, padding="same"), (9, 8), 9 * 8),
        (nn.Conv2d(4, 6, 4, dilation=2, padding="valid"), (9, 8), 3 * 2),
        (nn.Conv3d(4, 6, 2, padding=1, padding_mode="circular"), (9, 3, 4), 10 * 4 * 5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_convolutions_of_all_kinds_by_hand(device, layer, size, positions):
    layer = copy.deepcopy(layer).to(device)
    expected = positions * layer.weight.numel()
    assert count_ops_and_params(layer, torch.zeros(2, 4, *size, device=device))[0] == 2 * expected
    assert count_ops_and_params(layer, torch.zeros(4, *size, device=device))[0] == expected


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_convolution_behind_a_convolution(device):
    """Its output has the right shape, and what made its input is counted too."""
    two = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 6, 3, bias=False), nn.Flatten(), nn.Linear(24, 5)).to(device)
    assert count_ops_and_params(two, torch.zeros(1, 4, 4, 4, device=device))[0] == 16 * 16 + 4 * 4 * 9 * 6 + 24 * 5


@pytest.mark.parametrize(
    ("side", "attention", "outermost", "share", "speed_up"),
    [
        (32, False, 0.06, 0.17, 3.0),
        (128, False, 0.06, 0.17, 3.0),
        (32, True, 0.07, 0.18, 2.9),
        (64, True, 0.08, 0.22, 2.6),
        (96, True, 0.09, 0.27, 2.4),
        (128, True, 0.11, 0.32, 2.2),
    ],
)
def test_the_larger_the_latent_the_more_is_attention_that_no_step_skips(side, attention, outermost, share, speed_up):
    """The figures of docs/when-it-pays.md, of Stable Diffusion v1.5."""
    unet = sd_v1_5()
    full, shallow = branches_macs(unet, (0, 1), dummy_inputs(unet, 1, side, "meta"), attention)
    assert [round(shallow[branch] / full, 2) for branch in (0, 1)] == [outermost, share]
    assert round(5 / (1 + 4 * shallow[1] / full), 1) == speed_up


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attentions_products_are_counted_if_asked_for(device):
    model, x = Small().to(device), torch.zeros(2, 3, 8, 8, device=device)
    products = 2 * 6 * 6 * (16 + 16)  # of 6 tokens of 16 channels
    assert count_ops_and_params(model, x, attention=True)[0] == 2 * SMALL_MACS + products
    unet = make_unet2d_condition().to(device)
    inputs = dummy_inputs(unet, 2, None, device, tokens=5)
    (full, shallow), (more, also_more) = (branch_macs(unet, 1, inputs, attention=one) for one in (False, True))
    # Two images, 16x16 positions of 8 channels, to themselves and to the context; of branch 1, in three layers.
    assert also_more - shallow == pytest.approx(3 * 2 * 256 * (256 + 5) * 2 * 8 / 1e9)
    assert more - full > also_more - shallow


def test_inputs_of_another_kind_are_refused():
    with pytest.raises(DeepCacheError, match="inputs"):
        count_ops_and_params(Small(), "image")


@pytest.mark.parametrize("fail", [False, True])
def test_the_model_is_left_as_it_was(fail, capsys):
    model = Small().train()
    model.head.eval()
    seen = []
    model.grouped.register_forward_hook(lambda *_: seen.append(1))
    state, random = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    inputs = {"x": torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), "fail": fail}
    if fail:
        with pytest.raises(RuntimeError, match="on purpose"):
            count_ops_and_params(model, inputs)
    else:
        count_ops_and_params(model, inputs)
    assert [module.training for module in model.modules()] == [True, True, True, True, False]
    assert [len(module._forward_hooks) for module in model.modules()] == [0, 0, 0, 1, 0]
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.random.get_rng_state())
    assert seen == [1]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("make", "branches"), [(make_unet2d, range(12)), (make_unet2d_condition, (0, 2, 4, 7, 11))])
def test_full_and_shallow_passes_of_branches(make, branches):
    unet = make()
    inputs = dummy_inputs(unet, 2, 16, "cpu", tokens=7)
    full = independent_count(unet, lambda: unet(**inputs))
    found = branches_macs(unet, branches, inputs)
    assert found[0] == full / 1e9
    assert list(found[1]) == list(branches)
    for branch in branches:
        with DeepCache(unet, interval=2, branch=branch) as cache:
            cache.next_step()
            unet(**inputs)
            cache.next_step()
            shallow = independent_count(unet, lambda: unet(**inputs))
        assert found[1][branch] == shallow / 1e9
        assert 0 < shallow < full


def test_the_device_meta_gives_the_same_counts():
    unet, bare = make_unet2d_condition(**TWO_LEVELS), make_unet2d_condition(**TWO_LEVELS).to("meta")
    expected = branch_macs(unet, 2, dummy_inputs(unet, 1, None, "cpu"))
    assert branch_macs(bare, 2, dummy_inputs(bare, 1, None, "meta")) == expected
    assert compute_macs(bare, "meta") == expected[0]


def test_layers_add_up():
    unet = make_unet2d_condition(**TWO_LEVELS)
    macs, params, by_module = count_ops_and_params(unet, dummy_inputs(unet, 1, None, "cpu"), layer_wise=True)
    leaves = [name for name, module in unet.named_modules() if not list(module.children())]
    assert sum(by_module[name] for name in leaves) == macs == by_module[""]
    assert sum(by_module[name] for name, _ in unet.named_children()) == macs
    parts = ("resnets.0", "resnets.1", "attentions.0")
    assert by_module["mid_block"] == sum(by_module[f"mid_block.{part}"] for part in parts)
    assert params == sum(parameter.numel() for parameter in unet.parameters())


def test_average_over_a_schedule():
    assert len(uniform(250, 3)) == 84
    assert average_macs(10.0, 1.0, 250, uniform(250, 3)) == (84 * 10.0 + 166 * 1.0) / 250
    assert average_macs(10.0, 1.0, 250, nonuniform(250, 25, 120, 1.4)) == (25 * 10.0 + 225 * 1.0) / 250
    assert average_macs(10.0, 1.0, 50, uniform(50, 1)) == 10.0
    for schedule in [(), (0, 50), (0, 0), (-1, 3)]:
        with pytest.raises(DeepCacheError, match="schedule"):
            average_macs(10.0, 1.0, 50, schedule)


def test_resolution(unet2d):
    small, wide = compute_macs(unet2d), compute_macs(unet2d, resolution=(16, 32))
    time_layers = [
        module for name, module in unet2d.named_modules() if "time_emb" in name and isinstance(module, nn.Linear)
    ]
    per_image = sum(layer.weight.numel() for layer in time_layers) / 1e9  # does not grow with the image
    assert wide - per_image == pytest.approx(2 * (small - per_image), rel=1e-9)
    with pytest.raises(DeepCacheError, match="resolution"):
        compute_macs(unet2d, resolution=0)
    with pytest.raises(DeepCacheError, match="resolution"):
        compute_macs(make_unet2d(sample_size=None))


def test_pipelines(unet2d):
    assert compute_macs(DDPMPipeline(unet2d, DDPMScheduler()), resolution=8) == compute_macs(unet2d, resolution=8)
    unet = make_unet2d_condition(**TWO_LEVELS)
    first_stage = SimpleNamespace(config=SimpleNamespace(block_out_channels=(8, 16, 16)))
    latent = SimpleNamespace(unet=unet, vae=first_stage, tokenizer=SimpleNamespace(model_max_length=5))
    expected = compute_macs(unet, resolution=8, tokens=5)
    assert compute_macs(latent, resolution=32) == expected < compute_macs(unet, resolution=8)
    latent.vae_scale_factor = 2
    assert compute_macs(latent, resolution=16) == expected
    latent.tokenizer.model_max_length = int(1e30)
    assert compute_macs(latent) == compute_macs(unet, resolution=16, tokens=77)
    with pytest.raises(DeepCacheError, match="multiple"):
        compute_macs(latent, resolution=33)
    with pytest.raises(DeepCacheError, match="no U-Net"):
        compute_macs(SimpleNamespace())


def test_inputs_from_the_config():
    xl = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 30}
    inputs = dummy_inputs(make_unet2d_condition(**TWO_LEVELS, **xl), 3, None, "cpu")
    shapes = {name: tuple(value.shape) for name, value in inputs["added_cond_kwargs"].items()}
    assert shapes == {"text_embeds": (3, 6), "time_ids": (3, 6)}
    plain = compute_macs(make_unet2d_condition(**TWO_LEVELS))
    embedding = 8 * 32 + 32 * 32  # two linear layers
    for changes, more in [
        (xl, 30 * 32 + 32 * 32),
        ({"num_class_embeds": 10}, 0),
        ({"class_embed_type": "identity"}, 0),
        ({"class_embed_type": "timestep"}, embedding),
        ({"class_embed_type": "projection", "projection_class_embeddings_input_dim": 30}, 30 * 32 + 32 * 32),
        ({"class_embed_type": "simple_projection", "projection_class_embeddings_input_dim": 30}, 30 * 32),
        ({"time_cond_proj_dim": 12}, 12 * 8),
        ({"encoder_hid_dim": 20}, 77 * 20 * 16),
    ]:
        unet = make_unet2d_condition(**TWO_LEVELS, **changes)
        assert round((compute_macs(unet) - plain) * 1e9) == more, changes
    unet = make_unet2d(num_class_embeds=10)
    assert unet(**dummy_inputs(unet, 2, (8, 16), "cpu")).sample.shape == (2, 1, 8, 16)
    with pytest.raises(DeepCacheError, match="config"):
        dummy_inputs(Small(), 1, 8, "cpu")
    unet.register_to_config(addition_embed_type="image")
    with pytest.raises(DeepCacheError, match="addition_embed_type"):
        dummy_inputs(unet, 1, 8, "cpu")


def test_a_model_on_another_device_is_refused(unet2d):
    with pytest.raises(DeepCacheError, match="is on cpu, not on meta"):
        compute_macs(unet2d, "meta")


def test_a_model_that_caches_is_refused(unet2d):
    with DeepCache(unet2d, interval=2) as cache:
        with pytest.raises(DeepCacheError, match="enabled"):
            compute_macs(unet2d)
        with pytest.raises(DeepCacheError, match="enabled"):
            branch_macs(unet2d, 0, dummy_inputs(unet2d, 1, None, "cpu"))
        assert cache.steps == 0
