"""diffusers' pipelines that call the U-Net several times a step, or read what a shallow step would skip."""

from contextlib import contextmanager

import pytest
import torch
from diffusers import (
    ClassifierFreeGuidance,
    DPMSolverMultistepScheduler,
    LEditsPPPipelineStableDiffusion,
    StableDiffusionAttendAndExcitePipeline,
    StableDiffusionPanoramaPipeline,
    StableDiffusionSAGPipeline,
)
from diffusers.modular_pipelines import StableDiffusionXLAutoBlocks, StableDiffusionXLModularPipeline
from PIL import Image

from deepcache import DeepCache
from deepcache.caching.unet_call import UNetCall
from tests.caching.pipelines import extra_large, text_to_image
from tests.caching.reference import FEEDERS, feature_replaced

BRANCH = 2
INTERVAL = 2


def made_of(pipe, kind, **components):
    """A pipeline of another kind with the same components, as far as it takes them."""
    kept = {name: part for name, part in pipe.components.items() if name != "image_encoder"}
    other = kind(**{**kept, **components}, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    return other


@contextmanager
def streams_overridden(unet, feeder=FEEDERS["UNet2DConditionModel"][BRANCH], guessed=False):
    """Each stream's feature of its last full call: a step is a timestep, a stream the n-th call with a latent's shape.

    Where steps are `guessed`, the second one of a trajectory runs fully if the first one had several calls. Independent
    of the engine but for how a call's arguments are read. Yields the list of (step, full) of all calls.
    """
    features, now, found, call = {}, {"t": None, "step": -1}, [], UNetCall(unet)

    def before(module, args, kwargs):
        t = float(call.timestep(args, kwargs))
        if now["t"] is None or t > now["t"]:
            now.update(step=-1)
            features.clear()
        if t != now["t"]:
            if guessed and now["step"] == 0 and len(now["calls"]) > 1:
                features.clear()
            now.update(t=t, step=now["step"] + 1, calls=[])
        shape = tuple(call.sample(args, kwargs).shape)
        now["stream"] = (shape, now["calls"].count(shape))
        now["calls"].append(shape)
        now["full"] = now["step"] % INTERVAL == 0 or now["stream"] not in features
        found.append((now["step"], now["full"]))

    def override(feature):
        if now["full"]:
            features[now["stream"]] = feature.clone()
        return features[now["stream"]].clone()

    handles = [
        unet.register_forward_pre_hook(before, with_kwargs=True),
        feature_replaced(unet, feeder, override),
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def panorama(pipe):
    other = made_of(pipe, StableDiffusionPanoramaPipeline)
    other.get_views = lambda *size, **options: [(0, 16, 0, 16), (0, 16, 8, 24), (0, 16, 16, 32)]  # a quarter as large

    def generate(seed):
        generator = torch.Generator().manual_seed(seed)
        return other(
            "a b", height=16, width=32, num_inference_steps=4, generator=generator, output_type="latent"
        ).images

    return other, generate


def editing(pipe):
    """The inversion calls the U-Net for the two conditions apart, and no `step` of the scheduler."""
    scheduler = DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++", solver_order=2, steps_offset=1)
    other = made_of(pipe, LEditsPPPipelineStableDiffusion, scheduler=scheduler)

    def generate(seed):
        picture = Image.new("RGB", (32, 32), (90, 20, 30 + seed))
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        other.invert(
            image=picture, source_prompt="a", source_guidance_scale=3.5, num_inversion_steps=6, generator=generator
        )
        return other.zs

    return other, generate


@pytest.mark.parametrize("kind", [panorama, editing])
@pytest.mark.parametrize("given", ["pipeline", "U-Net"])
def test_several_calls_a_step(tmp_path, caplog, kind, given):
    pipe, generate = kind(text_to_image(tmp_path))
    with DeepCache(pipe if given == "pipeline" else pipe.unet, INTERVAL, BRANCH):
        ours = [generate(seed) for seed in (1, 2)]
    assert not [record for record in caplog.records if record.name.startswith("deepcache")]
    with streams_overridden(pipe.unet, guessed=given == "U-Net") as calls:
        expected = [generate(seed) for seed in (1, 2)]
    assert {True, False} == {full for _, full in calls}
    for one, other, seed in zip(ours, expected, (1, 2), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, generate(seed)), "caching makes a difference"


def modular(pipe):
    """SDXL out of blocks; its guider calls the U-Net once for each condition."""
    other = StableDiffusionXLModularPipeline(StableDiffusionXLAutoBlocks())
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    other.update_components(**{name: part for name, part in parts.items() if name in other.components})
    return other


@pytest.mark.parametrize("guidance", [{}, {"start": 0.0, "stop": 0.5}, {"start": 0.4}])
def test_modular_xl_with_a_guider(tmp_path, guidance):
    pipe = modular(extra_large(tmp_path))

    def generate(seed):
        # A new one each time: it keeps the step at which it was left.
        pipe.update_components(guider=ClassifierFreeGuidance(guidance_scale=5.0, **guidance))
        generator = torch.Generator().manual_seed(seed)
        options = {"height": 16, "width": 16, "num_inference_steps": 6, "generator": generator}
        return pipe(prompt="a b", **options, output_type="latent", output="images")

    with DeepCache(pipe, INTERVAL, BRANCH):
        ours = [generate(seed) for seed in (1, 2)]
    with streams_overridden(pipe.unet, "up_blocks.1") as calls:
        expected = [generate(seed) for seed in (1, 2)]
    assert len(calls) > 2 * 6, "conditions apart"
    for one, other, seed in zip(ours, expected, (1, 2), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, generate(seed))


def self_attention_guidance(pipe):
    other = made_of(pipe, StableDiffusionSAGPipeline)
    return other, lambda **options: other("a b", height=32, width=32, **options)


def attend_and_excite(pipe):
    other = made_of(pipe, StableDiffusionAttendAndExcitePipeline)
    options = {"token_indices": [1], "max_iter_to_alter": 2, "thresholds": {0: 0.05}, "attn_res": (8, 8)}
    return other, lambda **more: other("a b", height=32, width=32, **options, **more)


@pytest.mark.parametrize("branch", [0, 11])
@pytest.mark.parametrize("kind", [self_attention_guidance, attend_and_excite])
def test_who_reads_attention_maps_sees_every_step(tmp_path, caplog, kind, branch):
    pipe, run = kind(text_to_image(tmp_path))

    def generate():
        return run(num_inference_steps=4, generator=torch.Generator().manual_seed(1), output_type="latent").images

    full = generate()
    with DeepCache(pipe, INTERVAL, branch) as cache:
        for _ in range(2):
            assert torch.equal(generate(), full)
        assert cache.full_steps == (0, 1, 2, 3)
    told = [record.message for record in caplog.records if record.name.startswith("deepcache")]
    assert len(told) == 1 and "keeps attention maps of what shallow steps would skip: all steps run fully" in told[0]
