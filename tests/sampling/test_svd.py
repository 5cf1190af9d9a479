"""Stable Video Diffusion as the workflow samples it, on a tiny one with random weights: the pipeline's own frames."""

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableVideoDiffusionPipeline
from PIL import Image

from deepcache import DeepCache, DeepCacheError
from deepcache.beyond.calibration.adjoint import Adjoint
from deepcache.cost.macs import branches_macs
from deepcache.cost.shapes import checkpoint_shape
from deepcache.data.picture_prompts import PicturePrompts
from deepcache.methods.method import Method
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.random_weights import write_random
from deepcache.sampler import Sampler
from deepcache.sampling.families import bare_unet, load_model
from deepcache.sampling.image_to_video import fitted
from deepcache.sampling.noise import image_generator
from tests.sampling.applied import cached

FRAMES, HEIGHT, WIDTH = 3, 64, 128
SAMPLER = Sampler.parse("euler-3-cfg3")
SEED = 5


class Pictures:
    """A dataset, with the indices that were read."""

    def __init__(self, count: int = 3):
        rng = np.random.default_rng(0)
        self.arrays = [rng.integers(0, 256, (2 * HEIGHT, 2 * WIDTH, 3)).astype(np.uint8) for _ in range(count)]
        self.seen = []

    def __len__(self):
        return len(self.arrays)

    def read(self, start=0):
        for index in range(start, len(self)):
            self.seen.append(index)
            yield self.arrays[index]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("svd") / "tiny"
    write_random("svd-tiny", folder, 0)
    return folder


@pytest.fixture
def pictures():
    return Pictures()


def model(folder, pictures, precision="float32"):
    return load_model(folder, "cpu", precision, PicturePrompts(pictures))


def halved(picture: np.ndarray) -> Image.Image:
    """The mean of every 2x2 pixels."""
    blocks = picture.reshape(HEIGHT, 2, WIDTH, 2, 3).astype(float)
    return Image.fromarray(blocks.mean((1, 3)).round().astype(np.uint8))


def by_hand(folder, pictures, index, dtype=torch.float32, interval=1, guidance=3.0) -> np.ndarray:
    """The film strip of one video, by the pipeline alone, and DeepCache on it."""
    pipe = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    config = pipe.scheduler.config
    assert type(pipe.scheduler) is EulerDiscreteScheduler
    assert (config.prediction_type, config.timestep_type, config.use_karras_sigmas) == (
        "v_prediction",
        "continuous",
        True,
    )
    generator = image_generator(SEED, index)
    noise = torch.randn(1, FRAMES, 4, HEIGHT // 8, WIDTH // 8, generator=generator).to(dtype)
    size = {"height": HEIGHT, "width": WIDTH, "num_inference_steps": 3, "decode_chunk_size": 8}
    told = {"fps": 7, "motion_bucket_id": 127, "noise_aug_strength": 0.02, "max_guidance_scale": guidance}
    with DeepCache(pipe, interval, 0):
        picture = halved(pictures.arrays[index % len(pictures)])
        found = pipe(picture, **size, **told, latents=noise, generator=generator, output_type="np").frames
    assert found.shape == (1, FRAMES, HEIGHT, WIDTH, 3)
    return (found * 255).round().astype(np.uint8).reshape(1, FRAMES * HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_film_strips_are_the_pipelines(folder, pictures, precision):
    opened = model(folder, pictures, precision)
    for index in (1, 4):
        strip = opened.sample([index], SEED, SAMPLER)
        assert (strip == by_hand(folder, pictures, index, getattr(torch, precision))).all()
        assert strip.std() > 10
    assert pictures.seen == [1, 1], "counted round the dataset, of which no other picture is read"


@pytest.mark.parametrize("guidance", ["", "-cfg2"])
def test_guidance_is_the_last_frames(folder, pictures, guidance):
    strip = model(folder, pictures).sample([0], SEED, Sampler.parse(f"euler-3{guidance}"))
    assert (strip == by_hand(folder, pictures, 0, guidance=2.0 if guidance else 1.0)).all()


def test_cached_it_is_deepcache_on_the_pipeline(folder, pictures):
    opened = model(folder, pictures)
    full = opened.sample([1], SEED, SAMPLER)
    with cached(opened, Method.parse("uniform-n2-b0"), SAMPLER) as cache:
        strip = opened.sample([1], SEED, SAMPLER)
        assert (cache.steps, cache.full_steps) == (3, (0, 2))
    assert (strip == by_hand(folder, pictures, 1, interval=2)).all()
    assert (strip != full).any()
    assert (opened.sample([1], SEED, SAMPLER) == full).all(), "nothing of the cache is left"


@pytest.mark.parametrize("method", ["full", "uniform-n2-b0"])
def test_a_video_does_not_depend_on_its_batch(folder, pictures, method):
    opened = model(folder, pictures)
    with cached(opened, Method.parse(method), SAMPLER) as cache:
        parts = []
        for batch in (range(3), [2], [0, 1]):
            if cache is not None:
                cache.start_trajectory()
            parts.append(opened.sample(batch, SEED, SAMPLER).astype(int))
    together, last, first = parts
    assert together.shape == (3, FRAMES * HEIGHT, WIDTH, 3)
    assert np.abs(together - np.concatenate([first, last])).max() <= 1, "another batch rounds otherwise"


def test_a_video_depends_on_its_own_picture_alone(folder, pictures):
    before = model(folder, pictures).sample(range(2), SEED, SAMPLER)
    pictures.arrays[0] = 255 - pictures.arrays[0]
    after = model(folder, pictures).sample(range(2), SEED, SAMPLER)
    assert [(a != b).any() for a, b in zip(before, after, strict=True)] == [True, False]


def test_long_videos_are_decoded_in_parts_each_apart(folder, pictures, monkeypatch):
    """Two frames at a time: the third frame of one video is not decoded with the first of the next."""
    monkeypatch.setattr("deepcache.sampling.image_to_video.DECODED", 2)
    opened = model(folder, pictures)
    latents = torch.randn(2, FRAMES, 4, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together, alone = opened.decode(latents), torch.cat([opened.decode(one[None]) for one in latents])
        monkeypatch.setattr("deepcache.sampling.image_to_video.DECODED", 8)
        at_once = opened.decode(latents)
    assert torch.equal(together, alone) and (together - at_once).abs().max() > 1


def test_plans_can_be_made(folder, pictures):
    opened = model(folder, pictures)
    before = opened.sample([0], SEED, SAMPLER)
    adjoint = Adjoint(opened.unet, 0)
    with adjoint.differentiable(opened.modules()):
        pixels = opened.decode(opened.make_latents([0], SEED, SAMPLER))
        found = adjoint.products(pixels, torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)))
    assert found.shape == (1, 3, 3) and found.isfinite().all() and (found != 0).any()
    assert (opened.sample([0], SEED, SAMPLER) == before).all()


def test_pictures_cover_the_frame_and_are_cropped_in_the_middle():
    rows = np.arange(8, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 3), np.uint8)
    assert np.asarray(fitted(rows, 8, 4)).tolist() == rows.tolist()
    assert np.asarray(fitted(rows, 2, 4)).tolist() == rows[3:5].tolist()
    assert np.asarray(fitted(rows, 2, 2))[:, 0, 0].tolist() == [2, 4], "means of 2x2 pixels, 2.5 and 4.5 to even"
    assert np.asarray(fitted(rows.transpose(1, 0, 2), 4, 2))[0, :, 0].tolist() == [3, 4]
    assert fitted(rows, 576, 1024).size == (1024, 576)


def test_what_it_does_not_take_is_refused(folder, pictures):
    with pytest.raises(DeepCacheError, match=r"sampler ddim-3: Stable Video Diffusion has euler-<steps> only$"):
        model(folder, pictures).sample([0], SEED, Sampler.parse("ddim-3"))
    for prompts, problem in ((None, "needs prompts"), (["a cat"], "is prompted by pictures, not by texts")):
        with pytest.raises(DeepCacheError, match=f"ImageToVideo {problem}: correct the model's `prompts`"):
            load_model(folder, "cpu", prompts=prompts)
    with pytest.raises(DeepCacheError, match="a negative prompt needs prompts, texts"):
        load_model(folder, "cpu", "float32", PicturePrompts(pictures), "blurry")


def test_weights_that_are_missing_in_the_image_encoder_are_an_error(folder, pictures, tmp_path):
    for path in folder.iterdir():
        if path.name != "image_encoder":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(DeepCacheError, match=r"image_encoder is missing, which model_index\.json names"):
        model(tmp_path, pictures)


def macs_seen(unet, inputs) -> int:
    """Outputs of every convolution and linear layer that runs, times the weights of one."""
    seen, layers = [], (torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)

    def count(layer, args, output):
        outputs = output.numel()
        seen.append(outputs * layer.weight[0].numel())

    handles = [one.register_forward_hook(count) for one in unet.modules() if isinstance(one, layers)]
    with torch.no_grad():
        unet(**inputs)
    for handle in handles:
        handle.remove()
    return sum(seen)


def test_macs_are_those_of_all_frames_and_need_no_weights(folder, pictures):
    bare, tokens = bare_unet(folder)
    inputs = dummy_inputs(bare, 1, None, "meta", tokens=tokens)
    assert inputs["sample"].shape == (1, FRAMES, 8, HEIGHT // 8, WIDTH // 8)
    assert (tokens, inputs["encoder_hidden_states"].shape[1], inputs["added_time_ids"].shape) == (1, 1, (1, 3))
    full, shallow = branches_macs(bare, [0, 11], inputs)
    unet = model(folder, pictures).unet
    assert full * 1e9 == pytest.approx(macs_seen(unet, dummy_inputs(unet, 1, None, "cpu")))
    assert 0 < shallow[0] < shallow[11] < full


def test_an_image_is_as_large_as_all_frames(folder):
    known = checkpoint_shape("svd", {"source": "random", "architecture": "svd-tiny"}, {0})
    here = checkpoint_shape("svd", {"source": "local", "folder": str(folder)}, {0})
    assert known.image_bytes == here.image_bytes == FRAMES * HEIGHT * WIDTH * 3
    assert (known.full_g, known.shallow_g) == (here.full_g, here.shallow_g)
