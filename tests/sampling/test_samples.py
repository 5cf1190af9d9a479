"""Noise, shards and models: what image j is does not depend on how the work was divided."""

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline

from deepcache import DeepCacheError
from deepcache.models.digits import ddpm_scheduler
from deepcache.results.runs import Method, Sampler
from deepcache.sampling.caching import cached, make_reuse
from deepcache.sampling.families import load_model
from deepcache.sampling.model import to_uint8
from deepcache.sampling.noise import initial_noise
from deepcache.sampling.shards import read_images, read_shard, write_shard
from tests.conftest import make_unet2d

SAMPLER = Sampler("ddim", 6)


@pytest.fixture
def model(tmp_path):
    DDPMPipeline(make_unet2d(), ddpm_scheduler()).save_pretrained(tmp_path / "model")
    return load_model(tmp_path / "model", "cpu")


def test_noise_of_an_image_depends_on_seed_and_index_alone():
    noise = initial_noise(3, range(10), (1, 4, 4))
    assert torch.equal(initial_noise(3, [7, 2], (1, 4, 4)), noise[[7, 2]])
    assert not torch.equal(initial_noise(4, [7], (1, 4, 4)), noise[[7]])
    assert len({row.sum().item() for row in noise}) == 10
    assert abs(initial_noise(0, range(200), (1, 16, 16)).std().item() - 1) < 0.01


def test_quantised_by_rounding():
    levels = torch.arange(256).float() / 127.5 - 1
    assert to_uint8(levels.view(1, 1, 1, 256)).ravel().tolist() == list(range(256))
    assert to_uint8(torch.tensor([-3.0, 3.0, 0.003]).view(1, 1, 1, 3)).ravel().tolist() == [0, 255, 128]


@pytest.mark.parametrize("method", ["full", "uniform-n3-b2", "uniform-n3-b2-zeros", "uniform-n2-b0-forecast1"])
def test_images_do_not_depend_on_batches(model, method):
    method = Method.parse(method)

    def sample(batches):
        parts = []
        with cached(model.unet, method, SAMPLER) as cache:
            for batch in batches:
                if cache is not None:
                    cache.start_trajectory()
                parts.append(model.sample(batch, 1, SAMPLER))
        return np.concatenate(parts).astype(int)

    together, apart = sample([range(6)]), sample([range(2), range(2, 3), range(3, 6)])
    assert together.shape == (6, 16, 16, 1)
    assert np.abs(together - apart).max() <= 1, "batches change nothing but rounding"


def test_early_repositories_have_no_folders(model, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "model_index.json").write_text((tmp_path / "model" / "model_index.json").read_text())
    for part in ("unet", "scheduler"):
        for file in (tmp_path / "model" / part).iterdir():
            file.rename(flat / file.name)
    assert (load_model(flat, "cpu").sample([0], 0, SAMPLER) == model.sample([0], 0, SAMPLER)).all()


def test_methods_differ(model):
    images = {}
    for slug in ("full", "uniform-n3-b2", "uniform-n3-b5", "uniform-n3-b2-zeros", "uniform-n2-b2-forecast1"):
        with cached(model.unet, Method.parse(slug), SAMPLER):
            images[slug] = model.sample(range(2), 0, SAMPLER).tobytes()
    assert len(set(images.values())) == len(images)


def test_reuse_names():
    assert type(make_reuse("hold")).__name__ == "Hold"
    assert type(make_reuse("zeros")).__name__ == "Zeros"
    assert make_reuse("forecast2").order == 2


def test_unknown_checkpoints_are_refused(tmp_path):
    with pytest.raises(DeepCacheError, match=r"model_index.json: cannot be read"):
        load_model(tmp_path, "cpu")
    (tmp_path / "model_index.json").write_text('{"_class_name": "DiTPipeline"}')
    with pytest.raises(DeepCacheError, match="DiTPipeline is not among the known"):
        load_model(tmp_path, "cpu")


def shard(path, value, **settings):
    write_shard(path, np.full((4, 2, 2, 1), value, np.uint8), {"seed": 0, **settings}, {"seconds": 1.0})
    return path


def test_shards_merge_in_order_and_keep_their_settings(tmp_path):
    paths = [shard(tmp_path / f"{i}.npz", i) for i in range(3)]
    images, about = read_images(paths, 10)
    assert images[:, 0, 0, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 2
    assert images.dtype == np.uint8
    assert about[0]["settings"] == {"seed": 0}


def test_a_mixture_of_settings_is_refused(tmp_path):
    with pytest.raises(DeepCacheError, match=r"b.npz and .*a.npz were made with different seed: delete one"):
        read_images([shard(tmp_path / "a.npz", 0), shard(tmp_path / "b.npz", 1, seed=1)])


def test_too_few_images_are_refused(tmp_path):
    with pytest.raises(DeepCacheError, match="hold 4 images, fewer than the 5"):
        read_images([shard(tmp_path / "a.npz", 0)], 5)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_a_damaged_shard_is_named(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DeepCacheError, match=r"a.npz: not a readable shard"):
        read_shard(tmp_path / "a.npz")
