"""Where a U-Net can be cut, which models are refused, and what the shallow view is made of."""

import copy

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DiTTransformer2DModel,
    PixArtTransformer2DModel,
    UNet2DConditionModel,
    VQModel,
)
from torch import nn

from deepcache import DeepCache, DeepCacheError, num_branches
from deepcache.caching.branches import find_cut
from deepcache.caching.shallow import shallow_view
from tests.caching.reference import FEEDERS
from tests.conftest import make_unet2d, make_unet2d_condition

MAKE = {"UNet2DModel": make_unet2d, "UNet2DConditionModel": make_unet2d_condition}
each_kind = pytest.mark.parametrize("kind", MAKE)


def plain(levels: int, cross_attention: bool = False) -> dict:
    """Settings of a U-Net with so many levels, alike on all of them."""
    down, up = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D") if cross_attention else ("DownBlock2D", "UpBlock2D")
    return {
        "block_out_channels": (8, 8, 16, 16, 16)[:levels],
        "down_block_types": (down,) * levels,
        "up_block_types": (up,) * levels,
    }


def forward(unet: nn.Module) -> torch.Tensor:
    """One forward pass on a fixed input."""
    sample = torch.randn(1, unet.config.in_channels, 16, 16, generator=torch.Generator().manual_seed(1))
    context = () if type(unet).__name__ == "UNet2DModel" else (torch.ones(1, 3, 16),)
    return unet(sample, 10, *context).sample


@pytest.mark.parametrize(
    ("unet", "layers", "expected"),
    [
        (make_unet2d(), [2, 2, 2, 2], 12),
        (make_unet2d_condition(), [2, 2, 2, 2], 12),
        (make_unet2d(**plain(1), layers_per_block=2), [2], 3),
        (make_unet2d(**plain(2), layers_per_block=1), [1, 1], 4),
        (make_unet2d(**plain(3), layers_per_block=3), [3, 3, 3], 12),
        (make_unet2d(**plain(5), layers_per_block=2), [2, 2, 2, 2, 2], 15),
        (make_unet2d(**plain(2), downsample_type="resnet", upsample_type="resnet"), [2, 2], 6),
        (make_unet2d_condition(**plain(3, True)), [2, 2, 2], 9),  # as SDXL and LDM
        (make_unet2d_condition(layers_per_block=(1, 2, 3, 1)), [1, 2, 3, 1], 11),
        (make_unet2d_condition(layers_per_block=1), [1, 1, 1, 1], 8),  # as BK-SDM-Base
        (make_unet2d_condition(layers_per_block=1, mid_block_type=None), [1, 1, 1, 1], 7),  # as BK-SDM-Small
        (make_unet2d_condition(**plain(3, True), layers_per_block=1, mid_block_type=None), [1, 1, 1], 5),  # -Tiny
    ],
)
def test_number_of_branches_is_layers_plus_downsamplers_plus_one(unet, layers, expected):
    downsamplers = len(layers) - 1
    without_middle = unet.mid_block is None
    assert num_branches(unet) == sum(layers) + downsamplers + 1 - without_middle == expected
    find_cut(unet, expected - 1)
    with pytest.raises(DeepCacheError):
        find_cut(unet, expected)


@pytest.mark.parametrize("branch", [12, 13, 100, -1, True, False, "1", 1.0, None])
def test_branch_out_of_range_is_refused_with_the_range(unet2d, branch):
    for attempt in (lambda: find_cut(unet2d, branch), lambda: DeepCache(unet2d, 3, branch)):
        with pytest.raises(DeepCacheError, match="branch must be an integer from 0 to 11 for this UNet2DModel, not"):
            attempt()


@each_kind
def test_feeders_of_all_branches(kind):
    unet = MAKE[kind]()
    names = {module: name for name, module in unet.named_modules()}
    assert tuple(names[find_cut(unet, branch).feeder] for branch in range(12)) == FEEDERS[kind]


def test_feeders_of_a_unet_with_one_layer_a_level():
    unet = make_unet2d_condition(layers_per_block=1)
    names = {module: name for name, module in unet.named_modules()}
    assert [names[find_cut(unet, branch).feeder] for branch in range(8)] == [
        "up_blocks.3.attentions.0",
        "up_blocks.2",
        "up_blocks.2.attentions.0",
        "up_blocks.1",
        "up_blocks.1.attentions.0",
        "up_blocks.0",
        "up_blocks.0.resnets.0",
        "mid_block",
    ]


@each_kind
def test_kept_down_layers_of_all_branches(kind):
    unet = MAKE[kind]()
    for branch in range(12):
        kept = [(down.layers, down.downsampler) for down in find_cut(unet, branch).down]
        levels, rest = divmod(branch, 3)  # two layers and a downsampler a level
        assert kept == [(2, True)] * levels + ([(rest, False)] if rest else []), branch


def skip_unet() -> nn.Module:
    """A U-Net whose blocks hand an image down and up beside the skip tensors (NCSN++)."""
    return make_unet2d(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("SkipDownBlock2D", "AttnSkipDownBlock2D", "SkipDownBlock2D", "SkipDownBlock2D"),
        up_block_types=("SkipUpBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D", "SkipUpBlock2D"),
        in_channels=3,
        out_channels=3,
        time_embedding_type="fourier",
    )


def k_unet() -> nn.Module:
    """A U-Net with one skip tensor a level (k-diffusion's latent upscaler)."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=2,
        block_out_channels=(32, 32),
        down_block_types=("KDownBlock2D", "KCrossAttnDownBlock2D"),
        mid_block_type=None,
        up_block_types=("KCrossAttnUpBlock2D", "KUpBlock2D"),
        norm_num_groups=None,
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier",
        conv_in_kernel=1,
        conv_out_kernel=1,
        cross_attention_dim=16,
        attention_head_dim=8,
        act_fn="gelu",
    )


def dit() -> nn.Module:
    """A diffusion transformer."""
    return DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, num_layers=1, sample_size=4, norm_num_groups=4
    )


def pixart() -> nn.Module:
    """A diffusion transformer with cross-attention."""
    return PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        num_layers=1,
        sample_size=4,
        cross_attention_dim=8,
        caption_channels=8,
        norm_num_groups=4,
    )


def first_stage(kind: type) -> nn.Module:
    """An autoencoder: it has no skip connections."""
    return kind(block_out_channels=(4,), norm_num_groups=2)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nn.Linear(2, 2), "Linear is not a U-Net"),
        (dit, "DiTTransformer2DModel is not a U-Net"),
        (pixart, "PixArtTransformer2DModel is not a U-Net"),
        (lambda: first_stage(VQModel), "VQModel is not a U-Net"),
        (lambda: first_stage(AutoencoderKL), "AutoencoderKL is not a U-Net"),
        (lambda: first_stage(VQModel).encoder, "Encoder is not a U-Net"),
        (lambda: ControlNetModel.from_unet(make_unet2d_condition()), "ControlNetModel is not a U-Net"),
        (lambda: nn.DataParallel(make_unet2d()), "DataParallel is not a U-Net"),
        (skip_unet, "UNet2DModel has a SkipDownBlock2D, which carries a second image past the cut"),
        (k_unet, "the up layers of this UNet2DConditionModel do not take its 6 skip tensors one by one"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_clear_line(make, reason):
    model = make()
    for attempt in (lambda: num_branches(model), lambda: find_cut(model, 0), lambda: DeepCache(model, 3)):
        with pytest.raises(DeepCacheError) as caught:
            attempt()
        assert str(caught.value).startswith(reason)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "types",
    [
        ("DownBlock2D", "SkipDownBlock2D", "UpBlock2D", "UpBlock2D"),
        ("DownBlock2D", "DownBlock2D", "UpBlock2D", "SkipUpBlock2D"),
        ("DownBlock2D", "DownBlock2D", "AttnSkipUpBlock2D", "UpBlock2D"),
        ("DownBlock2D", "AttnSkipDownBlock2D", "UpBlock2D", "UpBlock2D"),
    ],
)
def test_a_single_block_with_a_second_path_is_refused(types):
    unet = make_unet2d(
        block_out_channels=(32, 32), down_block_types=types[:2], up_block_types=types[2:], in_channels=3, out_channels=3
    )
    with pytest.raises(DeepCacheError, match=r"Skip.* second image"):
        num_branches(unet)


def test_blocks_without_skip_connections_are_refused():
    unet = make_unet2d()
    unet.up_blocks[1].resnets = unet.up_blocks[1].resnets[:2]
    with pytest.raises(DeepCacheError, match="do not take its 12 skip tensors"):
        num_branches(unet)
    unet = make_unet2d()
    unet.down_blocks[0].resnets = nn.ModuleList()
    with pytest.raises(DeepCacheError, match="has a DownBlock2D without resnets"):
        num_branches(unet)


@each_kind
def test_view_shares_its_parameters_and_has_fewer_the_shallower_it_is(kind):
    unet = MAKE[kind]()
    addresses = {parameter.data_ptr() for parameter in unet.parameters()}
    counts = []
    for branch in range(12):
        parameters = list(shallow_view(unet, find_cut(unet, branch)).parameters())
        assert {parameter.data_ptr() for parameter in parameters} < addresses
        counts.append(sum(parameter.numel() for parameter in parameters))
    counts.append(sum(parameter.numel() for parameter in unet.parameters()))
    assert counts == sorted(set(counts))


@each_kind
@pytest.mark.parametrize("branch", range(12))
def test_view_has_exactly_the_parameters_that_matter_once_the_feature_is_given(kind, branch):
    unet = MAKE[kind]()
    view = shallow_view(unet, find_cut(unet, branch))

    def constant(module, args, output):
        return tuple(map(torch.zeros_like, output)) if isinstance(output, tuple) else torch.zeros_like(output)

    feeder = unet.get_submodule(FEEDERS[kind][branch])
    handle = feeder.register_forward_hook(constant)
    forward(unet).sum().backward()
    handle.remove()
    names = {parameter: name for name, parameter in unet.named_parameters()}
    matter = {name for parameter, name in names.items() if parameter.grad is not None}
    assert {names[parameter] for parameter in view.parameters()} == matter
    assert not any(name.startswith("mid_block") for name in matter)


@each_kind
@pytest.mark.parametrize("branch", [0, 4, 11])
def test_building_a_view_changes_nothing(kind, branch):
    unet = MAKE[kind]()
    before = {name: (sorted(vars(module)), list(module.children())) for name, module in unet.named_modules()}
    output = forward(unet)
    view = shallow_view(unet, find_cut(unet, branch))
    assert type(view) is type(unet) and view.config == unet.config
    assert before == {name: (sorted(vars(module)), list(module.children())) for name, module in unet.named_modules()}
    assert torch.equal(forward(unet), output)


@each_kind
@pytest.mark.parametrize("branch", range(12))
def test_view_given_the_features_of_the_full_pass_returns_its_output(kind, branch):
    unet = MAKE[kind]()
    cut = find_cut(unet, branch)
    view, seen = shallow_view(unet, cut), []
    with torch.no_grad():
        handle = cut.feeder.register_forward_hook(lambda module, args, output: seen.append(output))
        full = forward(unet)
        handle.remove()
        feature = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
        view.mid_block.feature = feature
        assert torch.equal(forward(view), full)
        view.mid_block.feature = feature + torch.linspace(0, 1, feature.shape[-1])
        assert not torch.equal(forward(view), full)


def test_view_runs_the_hooks_of_its_blocks_and_no_forwards_that_are_bound_to_the_original(unet2d):
    """The U-Net itself and the blocks that are cut are copies; the layers that are kept whole are the same objects."""
    called = []
    cut_blocks = ["", "down_blocks.1", "up_blocks.2"]  # branch 4 ends within these
    for name in [*cut_blocks, "conv_in", "down_blocks.0", "down_blocks.1.resnets.0", "up_blocks.2.resnets.1"]:
        module = unet2d.get_submodule(name)
        module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
        module.register_forward_hook(lambda *_, name=name: called.append(name))
        module.forward = module.forward  # bound to the original, as some tools leave it
        module._compiled_call_impl = None if name not in cut_blocks else lambda *_, name=name: called.append("bound")
    view = shallow_view(unet2d, find_cut(unet2d, 4))
    view.mid_block.feature = torch.randn(1, 8, 8, 8)
    assert forward(view).shape == (1, 1, 16, 16)
    kept = {"conv_in", "down_blocks.0", "down_blocks.1.resnets.0", "up_blocks.2.resnets.1"}
    assert set(called) == {*kept, *cut_blocks[1:]}, "those of the U-Net run around its call"
    assert all(unet2d.get_submodule(name)._forward_hooks for name in cut_blocks), "the original's hooks stay"


@pytest.mark.parametrize("name", ["", "down_blocks.1", "up_blocks.2"])
def test_view_of_a_patched_module_is_refused(unet2d, name):
    module = unet2d.get_submodule(name)
    forward_of_class = module.forward
    module.forward = lambda *args, **kwargs: forward_of_class(*args, **kwargs)
    with pytest.raises(DeepCacheError, match=f"another tool has replaced the forward of {type(module).__name__}"):
        shallow_view(unet2d, find_cut(unet2d, 4))


def test_feature_of_a_view_is_its_own():
    unet = make_unet2d()
    first, second = (shallow_view(unet, find_cut(unet, 0)) for _ in range(2))
    first.mid_block.feature = torch.zeros(1)
    assert second.mid_block.feature is None
    assert not hasattr(unet.mid_block, "feature")


def test_a_copied_unet_is_cut_at_its_own_layers(unet2d):
    twin = copy.deepcopy(unet2d)
    cut = find_cut(twin, 2)
    assert cut.feeder is twin.up_blocks[2] and cut.feeder is not unet2d.up_blocks[2]
