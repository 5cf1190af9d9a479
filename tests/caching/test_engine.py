"""The cached U-Net against the full network with one feature overridden, and against the authors' plug-in."""

import copy
from types import SimpleNamespace

import pytest
import torch
from DeepCache import DeepCacheSDHelper
from diffusers import ControlNetModel, DDIMScheduler, DDPMPipeline, PNDMScheduler

from deepcache import DeepCache, Forecast, Zeros, num_branches, uniform
from tests.caching.reference import FEEDERS, overridden, trajectory
from tests.conftest import make_unet2d, make_unet2d_condition

CONTEXT = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(7))
KINDS = {
    "UNet2DModel": (make_unet2d, lambda unet, x, t: unet(x, t).sample),
    "UNet2DConditionModel": (
        make_unet2d_condition,
        lambda unet, x, t: unet(x, t, encoder_hidden_states=CONTEXT).sample,
    ),
}
BRANCHES = range(12)
each_kind = pytest.mark.parametrize("kind", KINDS)


def cached(unet, call, branch, num_steps=7, interval=3, **options):
    """A DDIM trajectory with caching."""
    with DeepCache(unet, interval, branch, **options):
        return trajectory(unet, DDIMScheduler(), num_steps, call)


def fingerprint(unet) -> dict:
    """All that enabling could leave behind: instance attributes, modules and hooks, at every level."""
    return {
        name: (sorted(vars(module)), [id(child) for child in module.children()], len(module._forward_hooks))
        for name, module in unet.named_modules()
    }


@each_kind
def test_twelve_branches(kind):
    assert num_branches(KINDS[kind][0]()) == 12


@each_kind
@pytest.mark.parametrize("branch", BRANCHES)
def test_equals_full_network_with_feature_overridden(kind, branch):
    make, call = KINDS[kind]
    unet = make()
    ours = cached(unet, call, branch)
    with overridden(unet, branch, uniform(7, 3)):
        reference = trajectory(unet, DDIMScheduler(), 7, call)
    assert torch.equal(ours, reference)
    assert not torch.equal(ours, trajectory(unet, DDIMScheduler(), 7, call))


@each_kind
@pytest.mark.parametrize("branch", BRANCHES)
def test_equals_authors_plugin(kind, branch):
    make, _ = KINDS[kind]
    call = {
        "UNet2DModel": lambda unet, x, t: unet(x, t).sample,
        "UNet2DConditionModel": lambda unet, x, t: unet(x, t, CONTEXT).sample,
    }[kind]
    ours = cached(make(), call, branch)
    theirs = make()
    scheduler = DDIMScheduler()
    helper = DeepCacheSDHelper(SimpleNamespace(unet=theirs, scheduler=scheduler))
    helper.set_params(cache_interval=3, cache_branch_id=branch)
    helper.enable()
    assert torch.allclose(ours, trajectory(theirs, scheduler, 7, call), rtol=0, atol=1e-6)


@each_kind
@pytest.mark.parametrize("branch", [0, 4, 11])
@pytest.mark.parametrize("order", [1, 2])
def test_forecast_equals_overriding_with_the_polynomial(kind, branch, order):
    make, call = KINDS[kind]
    unet = make()

    def polynomial(features, step):
        points = features[-(order + 1) :]
        total = torch.zeros_like(points[0][1], dtype=torch.float64)
        for i, (node, feature) in enumerate(points):
            others = [other for j, (other, _) in enumerate(points) if j != i]
            weight = torch.tensor([(step - other) / (node - other) for other in others], dtype=torch.float64).prod()
            total += weight * feature
        return total.float()

    ours = cached(unet, call, branch, num_steps=13, reuse=Forecast(order))
    with overridden(unet, branch, uniform(13, 3), polynomial):
        reference = trajectory(unet, DDIMScheduler(), 13, call)
    assert torch.allclose(ours, reference, rtol=0, atol=1e-4)
    assert not torch.allclose(ours, cached(unet, call, branch, num_steps=13), rtol=0, atol=1e-4)


@each_kind
def test_forecast_of_order_zero_is_holding(kind):
    make, call = KINDS[kind]
    unet = make()
    assert torch.equal(cached(unet, call, 2, reuse=Forecast(0)), cached(unet, call, 2))


@each_kind
def test_zeros(kind):
    make, call = KINDS[kind]
    unet = make()
    ours = cached(unet, call, 2, reuse=Zeros())
    with overridden(unet, 2, uniform(7, 3), lambda features, step: torch.zeros_like(features[-1][1])):
        reference = trajectory(unet, DDIMScheduler(), 7, call)
    assert torch.equal(ours, reference)


@each_kind
def test_interval_one_changes_nothing(kind):
    make, call = KINDS[kind]
    unet = make()
    assert torch.equal(cached(unet, call, 0, interval=1), trajectory(unet, DDIMScheduler(), 7, call))


@each_kind
def test_two_trajectories_equal_two_fresh_ones(kind):
    make, call = KINDS[kind]
    unet = make()
    pipe = SimpleNamespace(unet=unet, scheduler=DDIMScheduler())
    with DeepCache(pipe, 3, 2) as cache:
        pair = [trajectory(unet, pipe.scheduler, 8, call, seed=seed) for seed in (0, 1)]
        assert cache.full_steps == (0, 3, 6)
    for seed, sample in enumerate(pair):
        with DeepCache(unet, 3, 2):
            assert torch.equal(sample, trajectory(unet, DDIMScheduler(), 8, call, seed=seed))


def test_bare_unet_starts_anew_when_told(unet2d):
    x = torch.randn(1, 1, 16, 16)
    with torch.no_grad(), DeepCache(unet2d, 4) as cache:
        for _ in range(3):
            unet2d(x, 10)
        cache.start_trajectory()
        unet2d(x, 10)
        assert (cache.steps, cache.full_steps) == (1, (0,))


def test_plms_counts_calls_not_timesteps(unet2d_condition):
    pipe = SimpleNamespace(unet=unet2d_condition, scheduler=PNDMScheduler(skip_prk_steps=True))
    ran_fully = []
    unet2d_condition.mid_block.register_forward_hook(lambda *_: ran_fully.append(cache.steps))
    with DeepCache(pipe, 5, 1) as cache:
        trajectory(unet2d_condition, pipe.scheduler, 50, KINDS["UNet2DConditionModel"][1])
        assert cache.steps == 51
        assert len(set(pipe.scheduler.timesteps.tolist())) == 50
    assert ran_fully == list(range(0, 51, 5))


def test_explicit_schedule(unet2d):
    steps = (0, 1, 4, 6)
    call = KINDS["UNet2DModel"][1]
    with DeepCache(unet2d, schedule=steps, branch=3) as cache:
        ours = trajectory(unet2d, DDIMScheduler(), 8, call)
        assert cache.full_steps == steps
    with overridden(unet2d, 3, steps):
        assert torch.equal(ours, trajectory(unet2d, DDIMScheduler(), 8, call))


@each_kind
@pytest.mark.parametrize("branch", [0, 2, 11])
def test_only_one_feature_is_held(kind, branch):
    make, call = KINDS[kind]
    unet = make()
    pipe = SimpleNamespace(unet=unet, scheduler=DDIMScheduler())
    held = []

    def watched(unet, x, t):
        output = call(unet, x, t)
        held.append(cache.bytes_cached)
        return output

    with DeepCache(pipe, 3, branch) as cache, overridden(unet, branch, range(8)) as features:
        trajectory(unet, pipe.scheduler, 8, watched)
        assert held == [features[0][1].nbytes] * 8, "the feature is kept between the steps"
        assert cache.bytes_cached == 0, "and released after the last"


@each_kind
def test_leaves_the_model_as_it_was(kind):
    make, call = KINDS[kind]
    unet = make()
    before, weights = fingerprint(unet), copy.deepcopy(unet.state_dict())
    scheduler = DDIMScheduler()
    attributes = set(vars(scheduler))
    cache = DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), 3, 5)
    cache.enable()
    trajectory(unet, scheduler, 4, call)
    cache.disable()
    assert fingerprint(unet) == before
    assert set(vars(scheduler)) == attributes
    assert all(torch.equal(value, weights[name]) for name, value in unet.state_dict().items())


class Broken(Exception):
    """Raised on purpose."""


@each_kind
@pytest.mark.parametrize("where", ["full step", "shallow step", "between"])
def test_exception_leaves_the_model_as_it_was(kind, where):
    make, call = KINDS[kind]
    unet = make()
    before, fresh = fingerprint(unet), cached(make(), call, 2)

    def breaking(unet, x, t):
        if cache.steps == {"full step": 3, "shallow step": 4, "between": 2}[where]:
            if where == "between":
                raise Broken
            handle = unet.conv_out.register_forward_hook(_raise)
            try:
                return call(unet, x, t)
            finally:
                handle.remove()
        return call(unet, x, t)

    with pytest.raises(Broken), DeepCache(unet, 3, 2) as cache:
        trajectory(unet, DDIMScheduler(), 7, breaking)
    assert fingerprint(unet) == before
    assert cache.bytes_cached == 0
    assert torch.equal(cached(unet, call, 2), fresh)


def _raise(*_):
    raise Broken


def test_exception_forgets_the_trajectory_while_enabled(unet2d):
    x = torch.randn(1, 1, 16, 16)
    with torch.no_grad(), DeepCache(unet2d, 4) as cache:
        unet2d(x, 10)
        with pytest.raises(ValueError, match="too many dimensions"):
            unet2d(x, "no timestep")
        assert (cache.steps, cache.bytes_cached) == (0, 0)


def test_another_batch_size_runs_fully(unet2d):
    with torch.no_grad(), DeepCache(unet2d, 4) as cache:
        for batch in (2, 2, 1, 1):
            x = torch.randn(batch, 1, 16, 16)
            output = unet2d(x, 10).sample
            if cache.steps == 1:
                assert torch.equal(output, cache._full_forward(x, 10).sample)
        assert cache.full_steps == (0,)


def test_pipeline_is_cached_and_noticed_when_its_scheduler_is_replaced(unet2d):
    pipe = DDPMPipeline(unet2d, DDIMScheduler(num_train_timesteps=50))
    pipe.set_progress_bar_config(disable=True)
    with DeepCache(pipe, 4, 1) as cache:
        pipe(batch_size=1, num_inference_steps=9, output_type="np", generator=torch.Generator().manual_seed(0))
        assert cache.full_steps == (0, 4, 8)
        pipe.scheduler = DDIMScheduler(num_train_timesteps=50)
        for _ in range(2):
            pipe(batch_size=1, num_inference_steps=6, output_type="np", generator=torch.Generator().manual_seed(0))
            assert cache.full_steps == (0, 4)


def test_class_labels(unet2d):
    unet = make_unet2d(num_class_embeds=10)
    labels = torch.tensor([3, 8])

    def call(unet, x, t):
        return unet(x, t, class_labels=labels).sample

    ours = cached(unet, call, 2)
    with overridden(unet, 2, uniform(7, 3)):
        assert torch.equal(ours, trajectory(unet, DDIMScheduler(), 7, call))


def test_classifier_free_guidance(unet2d_condition):
    context = torch.cat([torch.zeros_like(CONTEXT), CONTEXT])

    def guided(unet, x, t):
        without, with_context = unet(torch.cat([x, x]), t, encoder_hidden_states=context).sample.chunk(2)
        return without + 4.0 * (with_context - without)

    ours = cached(unet2d_condition, guided, 1)
    with overridden(unet2d_condition, 1, uniform(7, 3)):
        assert torch.equal(ours, trajectory(unet2d_condition, DDIMScheduler(), 7, guided))


@pytest.mark.parametrize("positional", [False, True])
@pytest.mark.parametrize("branch", [0, 1, 3, 5, 8, 11])
def test_controlnet_residuals(unet2d_condition, branch, positional):
    controlnet = ControlNetModel.from_unet(unet2d_condition, conditioning_channels=1).eval()
    for block in [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]:
        torch.nn.init.normal_(block.weight, std=0.5)  # zero by design before training
    hint = torch.randn(2, 1, 128, 128, generator=torch.Generator().manual_seed(3))

    def call(unet, x, t):
        down, mid = controlnet(x, t, encoder_hidden_states=CONTEXT, controlnet_cond=hint, return_dict=False)
        if positional:
            return unet(x, t, CONTEXT, None, None, None, None, None, down, mid).sample
        return unet(
            x, t, encoder_hidden_states=CONTEXT, down_block_additional_residuals=down, mid_block_additional_residual=mid
        ).sample

    ours = cached(unet2d_condition, call, branch)
    with overridden(unet2d_condition, branch, uniform(7, 3)):
        assert torch.equal(ours, trajectory(unet2d_condition, DDIMScheduler(), 7, call))
    assert not torch.equal(ours, cached(unet2d_condition, KINDS["UNet2DConditionModel"][1], branch))


@pytest.mark.parametrize("branch", [0, 1, 2, 3, 4, 7, 10])
def test_adapter_residuals(unet2d_condition, branch):
    generator = torch.Generator().manual_seed(3)
    shapes = [(8, 8), (8, 4), (16, 2), (16, 2)]  # channels and side at the end of each down block
    residuals = [torch.randn(2, channels, side, side, generator=generator) for channels, side in shapes]
    # diffusers adds an adapter's residual before the downsampler of a block with cross-attention, after it elsewhere
    residuals[:3] = [
        torch.randn(2, channels, side, side, generator=generator) for channels, side in [(8, 16), (8, 8), (16, 4)]
    ]

    def call(unet, x, t):
        given = [residual.clone() for residual in residuals]
        return unet(x, t, encoder_hidden_states=CONTEXT, down_intrablock_additional_residuals=given).sample

    ours = cached(unet2d_condition, call, branch)
    with overridden(unet2d_condition, branch, uniform(7, 3)):
        assert torch.equal(ours, trajectory(unet2d_condition, DDIMScheduler(), 7, call))


def test_unet_without_middle_block_has_one_branch_less():
    unet = make_unet2d_condition(mid_block_type=None)
    assert num_branches(unet) == 11
    ours = cached(unet, KINDS["UNet2DConditionModel"][1], 10)
    with overridden(unet, 10, uniform(7, 3)):
        assert torch.equal(ours, trajectory(unet, DDIMScheduler(), 7, KINDS["UNet2DConditionModel"][1]))


def test_resolution_that_is_no_multiple_of_the_downsampling(unet2d_condition):
    def call(unet, x, t):
        return unet(x[..., :15], t, encoder_hidden_states=CONTEXT).sample.repeat(1, 1, 1, 2)[..., :16]

    ours = cached(unet2d_condition, call, 4)
    with overridden(unet2d_condition, 4, uniform(7, 3)):
        assert torch.equal(ours, trajectory(unet2d_condition, DDIMScheduler(), 7, call))


def test_every_feeder_of_the_tests_is_distinct():
    assert all(len(set(names)) == 12 for names in FEEDERS.values())
