"""The converted model computes what the original one does; its pipeline."""

import pytest
import torch

from deepcache import DeepCache, DeepCacheError
from deepcache.models.ldm_pipeline import LDMClassPipeline
from tests.caching import reference
from tests.models.ldm.compvis import error


def sample(pipe, vectors, settings, **options) -> torch.Tensor:
    steps, scale = int(settings["ddim_steps"]), float(settings["guidance_scale"])
    options = {"num_inference_steps": steps, "guidance_scale": scale, "output_type": "latent", **options}
    return pipe(vectors["labels"], latents=vectors["x_T"], **options).images


def test_the_drawn_weights_are_the_original_ones(state_dict, settings):
    weights = [tensor.double() for tensor in state_dict.values()]
    assert sum(tensor.sum().item() for tensor in weights) == pytest.approx(float(settings["weights_sum"]), rel=1e-12)
    total = sum(tensor.abs().sum().item() for tensor in weights)
    assert total == pytest.approx(float(settings["weights_abs_sum"]), rel=1e-12)


@torch.no_grad()
def test_unet_full_and_shallow(pipe, vectors):
    context = pipe.class_embedder(vectors["labels"])
    assert context.shape == (2, 1, 16)
    assert error(pipe.unet(vectors["x"], vectors["t"], context).sample, vectors["eps_full"]) < 1e-5
    with DeepCache(pipe.unet, interval=2, branch=0) as cache:
        cache.next_step()
        pipe.unet(vectors["x"], vectors["t"], context)
        cache.next_step()
        shallow = pipe.unet(vectors["x2"], vectors["t"], context).sample
        assert cache.full_steps == (0,)
    assert error(shallow, vectors["eps_shallow_after_full"]) < 1e-5


def test_ddim_with_guidance(pipe, vectors, settings):
    assert error(sample(pipe, vectors, settings), vectors["latents_full"]) < 1e-5
    assert pipe.scheduler.timesteps.tolist() == sorted(map(int, settings["ddim_timesteps"].split(",")), reverse=True)


def test_ddim_with_caching(pipe, vectors, settings):
    with DeepCache(pipe, interval=int(settings["interval"]), branch=0) as cache:
        latents = sample(pipe, vectors, settings)
        assert cache.full_steps == (0, 3, 6, 9, 12)
    assert error(latents, vectors["latents_uniform_n3"]) < 1e-5
    assert error(latents, vectors["latents_full"]) > 0.01


@torch.no_grad()
def test_first_stage(pipe, vectors):
    assert error(pipe.vqvae.decode(vectors["latents_uniform_n3"]).sample, vectors["decoded"]) < 1e-4
    assert error(pipe.vqvae.encode(vectors["decoded"]).latents, vectors["encoded"]) < 1e-4


def test_images_are_decoded_through_the_codebook(pipe, vectors, settings):
    with DeepCache(pipe, interval=3, branch=0):
        images = sample(pipe, vectors, settings, output_type="np")
    expected = (vectors["decoded"] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert images.shape == (2, 64, 64, 3)
    assert error(torch.from_numpy(images), expected) < 1e-4


@pytest.mark.parametrize("branch", [0, 2, 3])
def test_caching_equals_the_feature_overridden(pipe, vectors, settings, branch, monkeypatch):
    # The reference names the feeders of Stable Diffusion, whose outermost level has attention.
    feeders = (*reference.FEEDERS["UNet2DModel"][:2], *reference.FEEDERS["UNet2DConditionModel"][2:])
    monkeypatch.setitem(reference.FEEDERS, "UNet2DConditionModel", feeders)
    with DeepCache(pipe, interval=3, branch=branch):
        cached = sample(pipe, vectors, settings)
    with reference.overridden(pipe.unet, branch, range(0, 13, 3)):
        assert torch.equal(sample(pipe, vectors, settings), cached)


def test_round_trip(pipe, vectors, settings, tmp_path):
    pipe.save_pretrained(tmp_path / "again")
    again = LDMClassPipeline.from_pretrained(tmp_path / "again")
    for name in ("unet", "vqvae", "class_embedder"):
        before, after = getattr(pipe, name).state_dict(), getattr(again, name).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert dict(again.scheduler.config) == dict(pipe.scheduler.config)
    again.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 2}
    assert torch.equal(sample(again, vectors, settings, **options), sample(pipe, vectors, settings, **options))


def test_noise_is_drawn_from_the_generator(pipe):
    def images(seed, **options):
        generator = torch.Generator().manual_seed(seed)
        return pipe([1, 2], num_inference_steps=2, generator=generator, output_type="latent", **options).images

    assert torch.equal(images(0, eta=1.0), images(0, eta=1.0))
    assert not torch.equal(images(0, eta=1.0), images(0))
    assert not torch.equal(images(0), images(1))


def test_no_guidance_halves_the_batch(pipe, vectors, settings):
    batches = []
    handle = pipe.unet.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    without = sample(pipe, vectors, settings, num_inference_steps=2, guidance_scale=1)
    almost = sample(pipe, vectors, settings, num_inference_steps=2, guidance_scale=1 + 1e-6)
    handle.remove()
    assert batches == [2, 2, 4, 4]
    assert error(without, almost) < 1e-4


def test_one_label_makes_one_image_of_the_models_size(pipe):
    (image,) = pipe(9, num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images
    assert image.size == (64, 64)
    assert pipe(9, num_inference_steps=2, output_type="pt", return_dict=False)[0].shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_labels": 10}, "class_labels must be integers from 0 to 9, not 10"),
        ({"class_labels": [0, -1]}, "class_labels must be integers"),
        ({"class_labels": 1.5}, "class_labels must be integers"),
        ({"class_labels": []}, "class_labels must be integers"),
        ({"class_labels": 1, "num_inference_steps": 0}, "must be an integer from 1 to 1000, not 0"),
        ({"class_labels": 1, "num_inference_steps": 37}, "first timestep would be 1000, beyond the last one"),
        ({"class_labels": 1, "latents": torch.zeros(2, 3, 8, 8)}, r"latents must have shape \(1, 3, H, W\)"),
        ({"class_labels": 1, "output_type": "jpeg"}, "output_type must be pil, np, pt or latent, not 'jpeg'"),
    ],
)
def test_arguments_that_cannot_be(pipe, arguments, message):
    with pytest.raises(DeepCacheError, match=message):
        pipe(**arguments)
