"""DeepCache on whole pipelines, and on several that share a U-Net or a scheduler."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
)

from deepcache import DeepCache, DeepCacheError, uniform
from tests.caching.pipelines import generate, image_to_image
from tests.caching.reference import overridden
from tests.conftest import make_unet2d


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
            for t in scheduler.timesteps[:4]:
                unet(x, t)
        if reverse:
            unets.reverse()
            caches.reverse()
        caches[0].disable()
        assert caches[1].steps == 4
        scheduler.set_timesteps(5)
        assert caches[1].steps == 0, "the one that is still enabled still watches the scheduler"
        unets[1](x, scheduler.timesteps[0])
        caches[1].disable()
        scheduler.set_timesteps(6)
        assert len(scheduler.timesteps) == 6
        assert not {"set_timesteps", "step"} & vars(scheduler).keys(), "nothing is left of either"


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
    with pytest.raises(DeepCacheError, match="has no scheduler that sets timesteps: give DeepCache its U-Net instead"):
        DeepCache(SimpleNamespace(unet=unet2d), 3)
