"""U-Nets of other shapes than diffusers' usual one: known ones, and those that are registered."""

from itertools import pairwise

import pytest
import torch
from diffusers import UNet1DModel
from monai.networks.nets import DiffusionModelUNet
from torch import nn

from deepcache import DeepCache, DeepCacheError, Forecast, UNetLayers, check, num_branches, register_unet
from deepcache.caching.branches import find_cut
from tests.caching.other_unets import GuidedUNet, PolicyUNet, unet_1d
from tests.conftest import make_unet2d_condition

STEPS = (900, 700, 500, 300, 100)


@register_unet(PolicyUNet)
def policy(unet: PolicyUNet) -> UNetLayers:
    """As a user would write it."""
    (one, two, smaller), *deeper = unet.down
    down = [[one, two, smaller, *deeper[0][:2]]]  # what the first level hands over nobody takes
    for above, (one, two, _) in pairwise(deeper):
        down.append([above[2], one, two])
    return UNetLayers(down, [deeper[-1][2], *unet.middle], unet.up)


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def policy_1d() -> UNet1DModel:
    """As diffusers' own robot policies: four blocks down, three up."""
    return UNet1DModel(
        in_channels=6,
        out_channels=6,
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownResnetBlock1D",) * 4,
        up_block_types=("UpResnetBlock1D",) * 3,
        mid_block_type="MidResTemporalBlock1D",
        out_block_type="OutConv1DBlock",
        layers_per_block=1,
        use_timestep_embedding=True,
        time_embedding_type="positional",
        flip_sin_to_cos=False,
        freq_shift=1,
        act_fn="mish",
        norm_num_groups=8,
    )


def monai(dimensions: int, **settings) -> DiffusionModelUNet:
    channels = {"channels": (8, 16), "attention_levels": (False, True), "num_head_channels": 8, "norm_num_groups": 4}
    shape = {"spatial_dims": dimensions, "in_channels": 1, "out_channels": 1, "num_res_blocks": 2}
    unet = DiffusionModelUNet(**{**shape, **channels, **settings})
    for parameter in unet.out.parameters():  # zero at the start
        nn.init.normal_(parameter)
    return unet


CASES = {
    "policy": (PolicyUNet, 2, lambda unet, x, t: unet(x, t, global_cond=noise(2, 5)), (2, 16, 3)),
    "guided": (GuidedUNet, 4, lambda unet, x, t: unet(x, timesteps=t), (2, 3, 16, 16)),
    "unet_1d": (unet_1d, 3, lambda unet, x, t: unet(x, t).sample, (2, 2, 32)),
    "policy_1d": (policy_1d, 3, lambda unet, x, t: unet(x, t).sample, (2, 6, 16)),
    "monai_2d": (lambda: monai(2), 6, lambda unet, x, t: unet(x, torch.tensor([t])), (2, 1, 16, 16)),
    "monai_3d": (
        lambda: monai(3, with_conditioning=True, cross_attention_dim=6, resblock_updown=True),
        6,
        lambda unet, x, t: unet(x, timesteps=torch.tensor([t]), context=noise(1, 1, 6, seed=9)),
        (1, 1, 8, 8, 8),
    ),
}
each = pytest.mark.parametrize("case", CASES)


def made(case: str) -> nn.Module:
    torch.manual_seed(0)
    return CASES[case][0]().eval()


@torch.no_grad()
def sample(unet: nn.Module, case: str) -> torch.Tensor:
    """A made-up trajectory."""
    x = noise(*CASES[case][3])
    for t in STEPS:
        x = x - 0.1 * CASES[case][2](unet, x, t)
    return x


@each
@pytest.mark.parametrize("reuse", [None, Forecast(1)])
def test_cached_is_the_full_network_with_the_feature_overridden(case, reuse):
    unet = made(case)
    plain = sample(unet, case)
    for branch in range(CASES[case][1]):
        features, now = {}, iter(range(100))

        def override(module, args, output, features=features, now=now):
            step = next(now)
            if step in (0, 1, 3):
                features[step] = output.clone()
                return output
            last, before = (3, 1) if step == 4 else (1, 0)
            slope = (features[last] - features[before]) / (last - before)
            return features[last] + (step - last) * slope if reuse else features[last]

        hook = find_cut(unet, branch).feeder.register_forward_hook(override)
        wanted = sample(unet, case)
        hook.remove()
        with DeepCache(unet, branch=branch, schedule=(0, 1, 3), reuse=reuse) as cache:
            found = sample(unet, case)
            assert cache.full_steps == (0, 1, 3) and cache.bytes_cached > 0
        assert torch.allclose(found, wanted, rtol=0, atol=1e-5)
        assert not torch.allclose(found, plain, rtol=0, atol=1e-5)
    assert torch.equal(sample(unet, case), plain)


@each
def test_every_branch_is_exact(case):
    unet = made(case)
    arguments = []
    unet.register_forward_pre_hook(lambda module, args, kwargs: arguments.append((args, kwargs)), with_kwargs=True)
    sample(unet, case)
    args, kwargs = arguments[0]
    names = ("sample", "timestep") if case in ("policy", "policy_1d", "unet_1d") else ("x", "timesteps")
    inputs = {**dict(zip(names, args, strict=False)), **kwargs}
    assert check(unet, inputs) == num_branches(unet) == CASES[case][1]


@each
def test_skipped_layers_do_not_run(case):
    unet, ran = made(case), []
    for name, module in unet.named_modules():
        module.register_forward_hook(lambda module, args, output, name=name: ran.append(name))
    skipped = {*find_cut(unet, 0).down, *find_cut(unet, 0).rest}
    skipped = {one for group in skipped for one in group.modules() if one._parameters}
    skipped = {name for name, module in unet.named_modules() if module in skipped}
    with DeepCache(unet, 10):
        sample(unet, case)
    for name in skipped:
        assert ran.count(name) == 1, name


def test_the_whole_output_of_a_tensor_is_cached():
    unet = made("guided")
    with DeepCache(unet, 2, branch="output") as cache:
        assert sample(unet, "guided").shape == (2, 3, 16, 16)
        assert cache.full_steps == (0, 2, 4)


def test_a_diffusers_unet_is_checked_too():
    inputs = {"sample": noise(1, 4, 16, 16), "timestep": 5, "encoder_hidden_states": noise(1, 3, 16)}
    assert check(make_unet2d_condition().eval(), inputs) == 12


class Leaking(GuidedUNet):
    """What the middle finds goes past the cut as well."""

    def __init__(self):
        super().__init__()
        seen = []
        self.middle_block.register_forward_hook(lambda module, args, output: seen.append(output.mean()))
        self.output_blocks[3][0].embedded.register_forward_pre_hook(lambda module, args: (args[0] + seen[-1],))


class Silent(Leaking):
    """Before its training: the last layer is zero, and the leak does not reach the output."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)


class Mistaken(GuidedUNet):
    """It is registered without its middle."""


class Elsewhere(GuidedUNet):
    """Its layers are another one's."""


class Nothing(GuidedUNet):
    """What is registered forgets to return."""


ANOTHER = GuidedUNet()
register_unet(Mistaken, lambda unet: UNetLayers(unet.input_blocks, None, unet.output_blocks))
register_unet(Elsewhere, lambda unet: UNetLayers(ANOTHER.input_blocks, ANOTHER.middle_block, ANOTHER.output_blocks))
register_unet(Nothing, lambda unet: None)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            Leaking,
            r"^branch 0 of this Leaking is not exact: .* first at output_blocks\.3\.0\.embedded, which takes more",
        ),
        (Silent, r"^branch 0 of this Silent is not exact: .* first at output_blocks\.3\.0\.embedded, which takes more"),
        (Elsewhere, "^a Steps among the layers of this Elsewhere is none of its modules$"),
        (Nothing, "^the layers of a Nothing are told by a NoneType: return UNetLayers$"),
        (Mistaken, r"^branch 0 of this Mistaken cannot run alone \(RuntimeError: .*\): correct what its layers"),
    ],
)
def test_a_cut_that_is_not_exact_is_refused_with_where(kind, message):
    torch.manual_seed(0)
    with pytest.raises(DeepCacheError, match=message):
        check(kind().eval(), (noise(1, 3, 16, 16), 5))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            lambda: UNetLayers([], [], []),
            "as many groups up as down, at least one, none of them empty: down has 0, up 0",
        ),
        (lambda: UNetLayers(None, None, None), "down has 0, up 0"),
        (lambda: UNetLayers([nn.Identity()], [], []), "down has 1, up 0"),
        (lambda: UNetLayers([nn.Identity(), nn.Identity()], [], [[], nn.Identity()]), "none of them empty"),
        (lambda: UNetLayers([one := nn.Identity()], one, [nn.Identity()]), "a Identity stands in two groups"),
        (lambda: UNetLayers(["conv_in"], [], [nn.Identity()]), "a group holds modules, not 'c'"),
        (lambda: register_unet(GuidedUNet(), policy), "takes a class of torch.nn.Module, not GuidedUNet"),
    ],
)
def test_layers_that_cannot_be_are_refused(layers, message):
    with pytest.raises(DeepCacheError, match=message):
        layers()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (noise(1, 3, 16, 16), "inputs must be a tuple of arguments or a dict of them by name, not a Tensor"),
        ({"sample": noise(1, 3, 16, 16)}, r"this GuidedUNet cannot be called with these inputs \(.*\): correct them"),
        ((), r"this GuidedUNet cannot be called with these inputs"),
        ((noise(1, 2, 16, 16), 5), r"this GuidedUNet cannot be called with these inputs \(.* channels"),
    ],
)
def test_inputs_that_it_cannot_be_called_with_are_a_line(inputs, message):
    with pytest.raises(DeepCacheError, match=message):
        check(made("guided"), inputs)


def test_what_is_checked_is_left_as_it_was():
    unet, called = made("guided").train(), []
    unet.middle_block.eval()
    unet.register_forward_pre_hook(lambda module, args: called.append(1) or (2 * args[0], *args[1:]))
    before = {name: module.training for name, module in unet.named_modules()}
    assert check(unet, (noise(1, 3, 16, 16), 5)) == 4 and called, "what runs around its calls runs around all of them"
    assert {name: module.training for name, module in unet.named_modules()} == before
    assert not unet.output_blocks[0]._forward_hooks and "forward" not in vars(unet)


class Around(nn.Module):
    """What holds a module by that name."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *args):
        return self.module(*args)


class Held(GuidedUNet):
    """A child's name is that of an argument here, and an attribute is called cached."""

    def __init__(self):
        super().__init__()
        self.cached, self.middle_block = None, Around(self.middle_block)


register_unet(Held, lambda unet: UNetLayers(unet.input_blocks, unet.middle_block.module, unet.output_blocks))


def test_names_of_children_and_attributes_are_free():
    torch.manual_seed(0)
    assert check(Held().eval(), (noise(1, 3, 16, 16), 5)) == 4


class Named(nn.Module):
    """Its timestep is given by name alone."""

    def __init__(self):
        super().__init__()
        self.unet = GuidedUNet()

    def forward(self, x, *, sigma):
        return self.unet(x, sigma)


register_unet(Named, lambda unet: UNetLayers(unet.unet.input_blocks, unet.unet.middle_block, unet.unet.output_blocks))


@torch.no_grad()
def test_a_timestep_by_name_alone_is_read():
    torch.manual_seed(0)
    unet, x = Named().eval(), noise(1, 3, 16, 16)
    with DeepCache(unet, 2) as cache:
        for t in STEPS:
            unet(x=x, sigma=t)
        assert cache.full_steps == (0, 2, 4)


def test_residuals_of_a_control_net_are_refused():
    unet = made("monai_2d")
    with DeepCache(unet, 2), pytest.raises(DeepCacheError, match=r"mid_block_additional_residual: .* of another shape"):
        unet(noise(2, 1, 16, 16), torch.tensor([5]), mid_block_additional_residual=torch.zeros(2, 16, 8, 8))
