"""DeepCache together with what else people do to a pipeline or a U-Net."""

import copy
import io
import pickle
from types import SimpleNamespace

import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook, dispatch_model
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from DeepCache import DeepCacheSDHelper
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    StableDiffusionImg2ImgPipeline,
    UNetSpatioTemporalConditionModel,
)
from peft import LoraConfig

from deepcache import DeepCache, DeepCacheError, Forecast, num_branches, uniform
from tests.caching import reference
from tests.caching.pipelines import image_to_image, text_to_image
from tests.caching.reference import overridden, trajectory
from tests.conftest import make_unet2d, make_unet2d_condition

CONTEXT = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(7))


def call(unet, x, t, **options):
    """One call with a context."""
    return unet(x, t, encoder_hidden_states=CONTEXT, **options).sample


def sampled(unet, call=call, num_steps=4, **options):
    """A DDIM trajectory."""
    return trajectory(unet, DDIMScheduler(), num_steps, call, **options)


def cached(unet, branch=2, interval=3, call=call):
    """A DDIM trajectory with caching."""
    with DeepCache(unet, interval, branch):
        return sampled(unet, call)


def assert_cached_equals_overridden(unet, branch=2, call=call):
    """Sample with caching and with the full network; returns the sample."""
    ours = cached(unet, branch, call=call)
    with overridden(unet, branch, uniform(4, 3)):
        assert torch.equal(ours, sampled(unet, call))
    assert not torch.equal(ours, sampled(unet, call)), "caching makes a difference"
    return ours


# Whole pipelines


@pytest.fixture
def pipe(tmp_path):
    """See pipelines.text_to_image."""
    return text_to_image(tmp_path)


def generate(pipe, num_steps=4, **options):
    """The latents that the pipeline makes of a prompt, with guidance."""
    generator = torch.Generator().manual_seed(3)
    if isinstance(pipe, StableDiffusionImg2ImgPipeline):
        options = {"image": torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16), **options}
    else:
        options = {"height": 16, "width": 16, **options}
    return pipe("a b", num_inference_steps=num_steps, output_type="latent", generator=generator, **options).images


def test_cached_pipeline_makes_several_images_and_other_resolutions(pipe):
    options = [{}, {"num_images_per_prompt": 2}, {"height": 24, "width": 8}, {"guidance_scale": 1.0}]
    with DeepCache(pipe, 3, 1):
        ours = [generate(pipe, **changes) for changes in options]
    for sample, changes in zip(ours, options, strict=True):
        with overridden(pipe.unet, 1, uniform(4, 3)):
            assert torch.equal(sample, generate(pipe, **changes))


def test_two_pipelines_with_one_unet_and_one_scheduler_are_both_cached(pipe):
    other = image_to_image(pipe)
    assert other.unet is pipe.unet and other.scheduler is pipe.scheduler
    with DeepCache(pipe, 3, 1):
        with pytest.raises(DeepCacheError, match="enabled on this U-Net already"):
            DeepCache(other, 3, 1).enable()
        ours = [generate(each) for each in (pipe, other, pipe)]
    for sample, each in zip(ours, (pipe, other, pipe), strict=True):
        with overridden(pipe.unet, 1, uniform(4, 3)):
            assert torch.equal(sample, generate(each))


@pytest.mark.parametrize("first", ["watched", "unwatched"])
def test_pipeline_with_the_same_unet_and_another_scheduler_runs_fully_with_a_warning(pipe, caplog, first):
    other = image_to_image(pipe, scheduler=DDIMScheduler(steps_offset=1, clip_sample=False))
    pair = {"image": torch.linspace(0, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16), "num_images_per_prompt": 2}
    options = [{}, {**pair, "num_steps": 3}, {**pair, "num_steps": 3}]
    full = [generate(other, **changes) for changes in options]
    with DeepCache(pipe, 3, 1) as cache:
        if first == "watched":
            generate(pipe)
        assert not caplog.records
        for sample, changes in zip(full, options, strict=True):
            assert torch.equal(generate(other, **changes), sample)
        assert "these calls run fully" in caplog.text and len(caplog.records) == 1
        sample = generate(pipe)
        assert cache.full_steps == uniform(4, 3)
    with overridden(pipe.unet, 1, uniform(4, 3)):
        assert torch.equal(sample, generate(pipe))


def test_two_unets_with_one_scheduler_are_disabled_in_either_order(unet2d):
    x = torch.zeros(1, 1, 16, 16)
    for reverse in (False, True):
        scheduler = DDIMScheduler()
        unets = [unet2d, make_unet2d()]
        caches = [DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), 3).enable() for unet in unets]
        scheduler.set_timesteps(5)
        for unet in unets:
            for _ in range(4):
                unet(x, 1)
        if reverse:
            unets.reverse()
            caches.reverse()
        caches[0].disable()
        assert caches[1].steps == 4
        scheduler.set_timesteps(5)
        assert caches[1].steps == 0, "the one that is still enabled still watches the scheduler"
        unets[1](x, 1)
        caches[1].disable()
        scheduler.set_timesteps(6)
        assert len(scheduler.timesteps) == 6


@pytest.mark.parametrize(
    "other",
    [
        SimpleNamespace(transformer=torch.nn.Linear(1, 1), scheduler=DDIMScheduler()),
        SimpleNamespace(unet=None, scheduler=DDIMScheduler()),
        DiTPipeline(
            DiTTransformer2DModel(2, 4, in_channels=4, num_layers=1, sample_size=4, norm_num_groups=4),
            AutoencoderKL(block_out_channels=(4,), norm_num_groups=2),
            DDIMScheduler(),
        ),
        "stable-diffusion-v1-5",
        None,
    ],
)
def test_pipeline_without_a_unet_is_refused(other):
    with pytest.raises(DeepCacheError, match=f"^{type(other).__name__} has no U-Net: .*skip connections$"):
        DeepCache(other, 3)


def test_pipeline_without_a_scheduler_is_refused(unet2d):
    with pytest.raises(DeepCacheError, match="has no scheduler: give DeepCache its U-Net instead"):
        DeepCache(SimpleNamespace(unet=unet2d), 3)


# Offloading


class Counting(ModelHook):
    """A hook of accelerate's kind that counts, and that changes arguments and output as offloading does."""

    def __init__(self):
        self.before = self.after = 0

    def pre_forward(self, module, *args, **kwargs):
        self.before += 1
        return args, kwargs

    def post_forward(self, module, output):
        self.after += 1
        return output


def hooks(unet) -> dict:
    """What accelerate has put on each module."""
    return {
        name: {key: value for key, value in vars(module).items() if key in ("_hf_hook", "_old_forward", "forward")}
        for name, module in unet.named_modules()
    }


@pytest.mark.parametrize("branch", [0, 4])
def test_offloaded_unet_gives_the_same_sample_and_keeps_its_hooks(unet2d_condition, branch):
    expected = cached(unet2d_condition, branch)
    cpu_offload(unet2d_condition, execution_device=torch.device("cpu"))
    assert unet2d_condition.conv_in.weight.device.type == "meta", "the weights are brought when they are needed"
    before = hooks(unet2d_condition)
    assert torch.equal(cached(unet2d_condition, branch), expected)
    assert hooks(unet2d_condition) == before
    remove_hook_from_module(unet2d_condition, recurse=True)
    assert torch.equal(cached(unet2d_condition, branch), expected)


def test_offloading_hook_runs_once_per_step(unet2d_condition):
    expected = cached(unet2d_condition)
    hook = Counting()
    add_hook_to_module(unet2d_condition, hook)
    assert torch.equal(cached(unet2d_condition), expected)
    assert (hook.before, hook.after) == (4, 4)


@pytest.mark.parametrize("removed", ["before", "after"])
def test_offloading_hook_that_is_added_while_caching_is_enabled(unet2d_condition, removed):
    full, expected = sampled(unet2d_condition), cached(unet2d_condition)
    cache, hook = DeepCache(unet2d_condition, 3, 2).enable(), Counting()
    add_hook_to_module(unet2d_condition, hook)
    with pytest.raises(DeepCacheError, match="enabled on this U-Net already"):
        DeepCache(unet2d_condition, 3, 2).enable()
    assert torch.equal(sampled(unet2d_condition), expected)
    if removed == "before":
        remove_hook_from_module(unet2d_condition)
        cache.start_trajectory()
        assert torch.equal(sampled(unet2d_condition), expected)
    cache.disable()
    assert torch.equal(sampled(unet2d_condition), full)
    if removed == "after":
        assert (hook.before, hook.after) == (8, 8), "the hook outlives caching"
        assert torch.equal(cached(unet2d_condition), expected)
        remove_hook_from_module(unet2d_condition)
    assert torch.equal(sampled(unet2d_condition), full)
    assert torch.equal(cached(unet2d_condition), expected)


@pytest.mark.parametrize("first", ["offloading", "caching"])
def test_pipeline_that_removes_and_adds_its_offloading_hooks_stays_cached(pipe, first):
    """diffusers takes the hooks off each model and puts new ones on at the end of every call of a pipeline."""
    full = generate(pipe)
    with DeepCache(pipe, 3, 1):
        expected = generate(pipe)
    cache = DeepCache(pipe, 3, 1)
    if first == "caching":
        cache.enable()
    pipe.enable_model_cpu_offload(device="cpu")
    if first == "offloading":
        cache.enable()
    for _ in range(3):
        hook = pipe.unet._hf_hook
        assert torch.equal(generate(pipe), expected)
        assert cache.full_steps == (0, 3)
        assert pipe.unet._hf_hook is not hook, "diffusers renews the hooks"
    cache.disable()
    assert torch.equal(generate(pipe), full) and torch.equal(generate(pipe), full)
    pipe.remove_all_hooks()
    assert torch.equal(generate(pipe), full)


def test_offloading_with_a_hook_handle(unet2d_condition):
    expected = cached(unet2d_condition)
    _, handle = cpu_offload_with_hook(unet2d_condition, torch.device("cpu"))
    assert torch.equal(cached(unet2d_condition), expected)
    handle.offload()
    handle.remove()
    assert torch.equal(cached(unet2d_condition), expected)


def test_unet_spread_over_devices_block_by_block_is_refused(unet2d_condition):
    dispatch_model(unet2d_condition, {"": "cpu"}, force_hooks=True)
    full, before = sampled(unet2d_condition), hooks(unet2d_condition)
    with pytest.raises(DeepCacheError, match="without a device map"):
        DeepCache(unet2d_condition, 3, 1).enable()
    assert hooks(unet2d_condition) == before
    assert torch.equal(sampled(unet2d_condition), full)


def test_weights_stored_in_lower_precision(unet2d_condition):
    unet2d_condition.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    assert unet2d_condition.down_blocks[0].resnets[0].conv1.weight.dtype == torch.bfloat16
    assert_cached_equals_overridden(unet2d_condition)


# Changes of the network


def add_lora(unet, *targets) -> None:
    """A LoRA adapter with random weights."""
    torch.manual_seed(5)
    unet.add_adapter(LoraConfig(r=2, lora_alpha=8, target_modules=list(targets), init_lora_weights=False))


@pytest.mark.parametrize("branch", [0, 4])
@pytest.mark.parametrize("targets", [("to_q", "to_v"), ("conv_in", "conv1", "proj_in"), ("conv_out", "linear_1")])
def test_lora_that_was_added_before(unet2d_condition, branch, targets):
    without = cached(unet2d_condition, branch)
    add_lora(unet2d_condition, *targets)
    assert not torch.equal(assert_cached_equals_overridden(unet2d_condition, branch), without)


@pytest.mark.parametrize("branch", [0, 4])
def test_lora_scale_of_a_call(unet2d_condition, branch):
    add_lora(unet2d_condition, "to_q", "to_k", "to_v", "conv_in", "conv1")

    def scaled(unet, x, t):
        return call(unet, x, t, cross_attention_kwargs={"scale": 0.5})

    ours = assert_cached_equals_overridden(unet2d_condition, branch, scaled)
    assert not torch.equal(ours, cached(unet2d_condition, branch))


def test_lora_removed_after_caching_leaves_the_first_unet(unet2d_condition):
    expected = cached(unet2d_condition)
    add_lora(unet2d_condition, "to_q", "conv_in")
    cached(unet2d_condition)
    unet2d_condition.unload_lora()
    assert type(unet2d_condition.conv_in) is torch.nn.Conv2d
    assert torch.equal(cached(unet2d_condition), expected)


@pytest.mark.parametrize("branch", [0, 4, 6, 8, 9, 11])
def test_freeu_that_was_enabled_before(unet2d_condition, branch):
    """FreeU scales the hidden features in place: at the deeper branches, that is the very feature that is cached."""
    unet2d_condition.enable_freeu(s1=0.6, s2=0.4, b1=1.4, b2=1.6)
    ours = assert_cached_equals_overridden(unet2d_condition, branch)
    unet2d_condition.disable_freeu()
    assert not torch.equal(ours, cached(unet2d_condition, branch))


def test_freeu_with_a_forecast(unet2d_condition):
    unet2d_condition.enable_freeu(s1=0.6, s2=0.4, b1=1.4, b2=1.6)
    with DeepCache(unet2d_condition, 3, 7, reuse=Forecast(1)):
        ours = sampled(unet2d_condition, num_steps=6)

    def line(features, step):
        if len(features) == 1:
            return features[0][1]
        (start, first), (end, last) = features
        weight = (step - start) / (end - start)
        return (1 - weight) * first + weight * last

    with overridden(unet2d_condition, 7, (0, 3), line):
        assert torch.allclose(ours, sampled(unet2d_condition, num_steps=6), rtol=0, atol=1e-5)


@pytest.mark.parametrize("branch", [8, 10, 11])
def test_adapter_with_a_residual_for_the_middle_block(unet2d_condition, branch):
    generator = torch.Generator()
    shapes = [(8, 16), (8, 8), (16, 4), (16, 2), (16, 2)]  # channels and side; the last is the middle block's

    def adapted(unet, x, t):
        generator.manual_seed(3)
        residuals = [torch.randn(2, channels, side, side, generator=generator) for channels, side in shapes]
        return call(unet, x, t, down_intrablock_additional_residuals=residuals)

    assert_cached_equals_overridden(unet2d_condition, branch, adapted)


def test_compiled_unet_is_refused(unet2d_condition):
    compiled = torch.compile(unet2d_condition, backend="eager")
    for model in (compiled, SimpleNamespace(unet=compiled, scheduler=DDIMScheduler())):
        with pytest.raises(DeepCacheError, match="this U-Net was compiled: enable DeepCache on the uncompiled U-Net"):
            DeepCache(model, 3)
    assert torch.equal(cached(compiled._orig_mod), cached(make_unet2d_condition()))


@pytest.mark.parametrize("when", ["before", "between"])
def test_unet_compiled_in_place_is_refused(unet2d_condition, when):
    cache = DeepCache(unet2d_condition, 3) if when == "between" else None
    unet2d_condition.compile(backend="eager")
    with pytest.raises(DeepCacheError, match="this U-Net was compiled in place"):
        (cache or DeepCache(unet2d_condition, 3)).enable()
    assert "forward" not in vars(unet2d_condition)


def test_enabling_twice_is_refused_and_the_first_goes_on(unet2d_condition):
    expected = cached(unet2d_condition)
    with DeepCache(unet2d_condition, 3, 2) as cache:
        for second in (cache, DeepCache(unet2d_condition, 5, 0)):
            with pytest.raises(DeepCacheError, match="DeepCache is enabled on this U-Net already: disable it first"):
                second.enable()
        assert torch.equal(sampled(unet2d_condition), expected)
    with cache:
        assert torch.equal(sampled(unet2d_condition), expected)
    cache.disable()
    cache.disable()
    assert torch.equal(cached(unet2d_condition), expected)


# Other tools


def test_authors_plugin_must_be_disabled_first_and_leaves_nothing_behind(unet2d_condition):
    pipe = SimpleNamespace(unet=unet2d_condition, scheduler=DDIMScheduler())
    helper = DeepCacheSDHelper(pipe)
    helper.set_params(cache_interval=3, cache_branch_id=2)
    helper.enable()
    for model in (pipe, unet2d_condition):
        with pytest.raises(DeepCacheError, match="another tool has replaced the forward of UNet2DConditionModel"):
            DeepCache(model, 3, 2).enable()
    helper.disable()
    fresh = make_unet2d_condition()
    for branch in (0, 4, 11):
        assert torch.equal(cached(unet2d_condition, branch), cached(fresh, branch))
    assert torch.equal(sampled(unet2d_condition), sampled(fresh))


def test_authors_plugin_below_an_offloading_hook_is_refused_too(unet2d_condition):
    helper = DeepCacheSDHelper(SimpleNamespace(unet=unet2d_condition, scheduler=DDIMScheduler()))
    helper.set_params(cache_interval=3, cache_branch_id=2)
    helper.enable()
    add_hook_to_module(unet2d_condition, Counting())
    with pytest.raises(DeepCacheError, match="another tool has replaced the forward"):
        DeepCache(unet2d_condition, 3, 2).enable()


def test_a_forward_that_another_tool_has_kept_passes_through_after_disabling(unet2d_condition):
    full = sampled(unet2d_condition)
    cache = DeepCache(unet2d_condition, 3, 2).enable()
    kept = unet2d_condition.forward
    unet2d_condition.forward = lambda *args, **kwargs: kept(*args, **kwargs)
    cache.disable()
    assert torch.equal(sampled(unet2d_condition), full)
    assert (cache.steps, cache.bytes_cached) == (0, 0)


def test_hooks_on_the_unet_fire_once_per_step(unet2d_condition):
    fired = []
    unet2d_condition.register_forward_pre_hook(lambda module, args: fired.append("before"))
    unet2d_condition.register_forward_hook(lambda module, args, output: fired.append("after"))
    expected = cached(make_unet2d_condition())
    assert torch.equal(cached(unet2d_condition), expected)
    assert fired == ["before", "after"] * 4


# Kinds of calls and of U-Nets


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("branch", [0, 3])
def test_other_precisions(unet2d_condition, dtype, branch):
    unet2d_condition.to(dtype)

    def in_precision(unet, x, t):
        output = unet(x.to(dtype), t, encoder_hidden_states=CONTEXT.to(dtype)).sample
        assert output.dtype == dtype
        return output.float()

    with DeepCache(unet2d_condition, 3, branch) as cache:
        unet2d_condition(torch.zeros(1, 4, 16, 16, dtype=dtype), 1, CONTEXT[:1].to(dtype))
        assert all(tensor.dtype == dtype for tensor in cache.reuse.held)
    assert_cached_equals_overridden(unet2d_condition, branch, in_precision)


def test_output_as_a_tuple(unet2d_condition):
    def as_tuple(unet, x, t):
        output = unet(x, t, encoder_hidden_states=CONTEXT, return_dict=False)
        assert isinstance(output, tuple)
        return output[0]

    assert torch.equal(assert_cached_equals_overridden(unet2d_condition, call=as_tuple), cached(unet2d_condition))


def test_arguments_by_name(unet2d_condition):
    def by_name(unet, x, t):
        return unet(sample=x, timestep=t, encoder_hidden_states=CONTEXT).sample

    assert torch.equal(assert_cached_equals_overridden(unet2d_condition, call=by_name), cached(unet2d_condition))


def test_inference_mode(unet2d_condition):
    expected = cached(unet2d_condition)
    with torch.inference_mode():
        assert torch.equal(cached(unet2d_condition), expected)


def test_unet_can_be_copied_and_pickled_after_disabling(unet2d_condition):
    expected = cached(unet2d_condition)
    buffer = io.BytesIO()
    torch.save(unet2d_condition, buffer)
    buffer.seek(0)
    copies = {
        "deepcopy": copy.deepcopy(unet2d_condition),
        "pickle": pickle.loads(pickle.dumps(unet2d_condition)),
        "torch.save": torch.load(buffer, weights_only=False),
    }
    with torch.no_grad():
        unet2d_condition.conv_in.weight.zero_()  # the copies do not run the original
    for name, twin in copies.items():
        assert torch.equal(cached(twin), expected), name


def test_weights_moved_while_enabled_are_used(unet2d_condition):
    expected = cached(make_unet2d_condition().double(), call=in_double)
    with DeepCache(unet2d_condition, 3, 2):
        unet2d_condition.double()
        assert torch.equal(sampled(unet2d_condition, in_double), expected)


def in_double(unet, x, t):
    """One call in double precision."""
    return unet(x.double(), t, encoder_hidden_states=CONTEXT.double()).sample


@pytest.mark.parametrize(
    ("branch", "feeder"),
    [
        (0, "up_blocks.1.attentions.1"),
        (2, "up_blocks.0"),
        (4, "up_blocks.0.resnets.0"),
        (5, "mid_block"),
    ],
)
def test_video_unet(monkeypatch, branch, feeder):
    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 32),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        cross_attention_dim=16,
        num_attention_heads=2,
        num_frames=3,
    ).eval()
    assert num_branches(unet) == 6
    monkeypatch.setitem(reference.FEEDERS, type(unet).__name__, {branch: feeder})
    start = torch.randn(1, 3, 4, 8, 8, generator=torch.Generator().manual_seed(2))

    @torch.no_grad()
    def video():
        x = start
        for t in range(50, 0, -10):
            x = x - 0.2 * unet(x, t, CONTEXT[:1, :1], added_time_ids=torch.tensor([[6.0, 127.0, 0.02]])).sample
        return x

    with DeepCache(unet, 2, branch) as cache:
        ours = video()
        assert cache.full_steps == (0, 2, 4)
    with overridden(unet, branch, (0, 2, 4)):
        assert torch.equal(ours, video())
    assert not torch.equal(ours, video())
