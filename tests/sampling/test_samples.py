"""Noise, shards and models: what image j is does not depend on how the work was divided."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline

from deepcache import DeepCacheError
from deepcache.files import sha256
from deepcache.methods.method import Method
from deepcache.models.digits import ddpm_scheduler
from deepcache.sampler import Sampler
from deepcache.sampling.families import load_model
from deepcache.sampling.model import to_pixels
from deepcache.sampling.noise import NoiseInFloat32, image_generator, initial_noise
from deepcache.sampling.shards import (
    read_images,
    read_run,
    read_shard,
    read_shards,
    read_sidecar,
    settings_hash,
    write_shard,
)
from tests.conftest import make_unet2d
from tests.sampling.applied import cached

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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_noise_of_a_narrower_type_is_the_same_noise_rounded(dtype):
    shape = (3, 5, 7)  # no multiple of 16, at which every version of torch draws others by itself
    with NoiseInFloat32():
        drawn = torch.randn(shape, generator=image_generator(2, 8), dtype=dtype)
        wide = torch.randn(shape, generator=image_generator(2, 8), dtype=torch.float64)
    assert torch.equal(drawn, initial_noise(2, [8], shape)[0].to(dtype))
    assert wide.dtype == torch.float64
    assert not torch.equal(torch.randn(shape, generator=image_generator(2, 8), dtype=dtype), drawn)


def test_quantised_by_rounding():
    levels = torch.arange(256).float() / 127.5 - 1
    assert to_pixels(levels.view(1, 1, 1, 256)).round().flatten().tolist() == list(range(256))
    assert to_pixels(torch.tensor([-3.0, 3.0, 0.003]).view(1, 1, 1, 3)).round().flatten().tolist() == [0, 255, 128]


@pytest.mark.parametrize("method", ["full", "uniform-n3-b2", "uniform-n3-b2-zeros", "uniform-n2-b0-forecast1"])
def test_images_do_not_depend_on_batches(model, method):
    method = Method.parse(method)

    def sample(batches):
        parts = []
        with cached(model, method, SAMPLER) as cache:
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
    (flat / "model_index.json").write_text(
        (tmp_path / "model" / "model_index.json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    for part in ("unet", "scheduler"):
        for file in (tmp_path / "model" / part).iterdir():
            file.rename(flat / file.name)
    assert (load_model(flat, "cpu").sample([0], 0, SAMPLER) == model.sample([0], 0, SAMPLER)).all()


def test_methods_differ(model):
    images = {}
    for slug in ("full", "uniform-n3-b2", "uniform-n3-b5", "uniform-n3-b2-zeros", "uniform-n2-b2-forecast1"):
        with cached(model, Method.parse(slug), SAMPLER):
            images[slug] = model.sample(range(2), 0, SAMPLER).tobytes()
    assert len(set(images.values())) == len(images)


def test_dpm_solver_follows_the_same_ode_from_the_same_noise():
    """Weights that are trained: with random ones a trajectory is too rough for any number of steps."""
    model = load_model(Path(__file__).resolve().parents[2] / "resources/checkpoints/digits-ddpm", "cpu")
    exact, near, far = (
        model.sample(range(3), 0, Sampler.parse(slug)).astype(int) for slug in ("ddim-100", "dpmpp-99", "dpmpp-5")
    )
    assert ((near - exact) ** 2).mean() < 0.1 * ((far - exact) ** 2).mean()


def test_dpm_solver_is_cached_as_ddim_is(model):
    sampler, steps = Sampler("dpmpp", 7), []
    full = model.sample(range(2), 0, sampler, steps.append)
    assert steps == list(range(7))
    with cached(model, Method.parse("uniform-n3-b2"), sampler) as cache:
        images = model.sample(range(2), 0, sampler)
        assert (cache.steps, cache.full_steps) == (7, (0, 3, 6))
    assert (images != full).any()
    with cached(model, Method.parse("uniform-n1-b2"), sampler):
        assert (model.sample(range(2), 0, sampler) == full).all()


@pytest.mark.parametrize(
    ("slug", "message"),
    [
        ("plms-10", "sampler plms-10: an unconditional model has ddim-<steps>, ddim-<steps>-quad and dpmpp-<steps>"),
        ("dpmpp-10-quad", "sampler dpmpp-10-quad: an unconditional model has"),
        ("dpmpp-10-cfg1.5", "only, without guidance"),
        ("dpmpp-1000", "steps of dpmpp must be between 1 and 999, not 1000"),
    ],
)
def test_other_samplers_are_refused(model, slug, message):
    with pytest.raises(DeepCacheError, match=message) as raised:
        model.sample([0], 0, Sampler.parse(slug))
    assert "\n" not in str(raised.value)


def test_unknown_checkpoints_are_refused(tmp_path):
    with pytest.raises(DeepCacheError, match=r"model_index.json: cannot be read"):
        load_model(tmp_path, "cpu")
    (tmp_path / "model_index.json").write_text('{"_class_name": "DiTPipeline"}', encoding="utf-8")
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


def test_shards_are_read_one_at_a_time_and_checked_to_the_last(tmp_path):
    paths = [shard(tmp_path / f"{i}.npz", i) for i in range(3)]
    missing = [*paths[:2], tmp_path / "3.npz"]
    shards = read_shards(missing)
    assert [next(shards)[0][0, 0, 0, 0] for _ in range(2)] == [0, 1], "before the one that is missing is looked for"
    with pytest.raises(DeepCacheError, match=r"3.npz: not a readable shard"):
        next(shards)
    assert [len(images) for images, _ in read_shards(paths, 6)] == [4, 2, 0]
    shard(paths[2], 2, seed=1)
    with pytest.raises(DeepCacheError, match=r"2.npz and .*0.npz were made with different seed"):
        list(read_shards(paths, 6))
    with pytest.raises(DeepCacheError, match="no shards"):
        list(read_shards([]))


def write_run(folder: Path, **changes) -> Path:
    """A run of three shards, whose sidecar names them in no order."""
    for i in (2, 10, 1):
        shard(folder / f"shards/{i}.npz", i)
    run = {"images": 10, "settings_hash": settings_hash({"seed": 0}), "shards": {f"{i}.npz": "" for i in (10, 2, 1)}}
    (folder / "run.json").write_text(json.dumps({**run, **changes}), encoding="utf-8")
    return folder / "run.json"


def test_a_run_is_read_in_order_of_index(tmp_path):
    parts = list(read_run(write_run(tmp_path), image_size=2))
    assert [part[:, 0, 0, 0].tolist() for part in parts] == [[1] * 4, [2] * 4, [10] * 2]


def test_a_run_that_is_not_what_its_sidecar_says_is_refused(tmp_path):
    with pytest.raises(DeepCacheError, match=r"shards hold 12 images, fewer than the 13 asked for"):
        list(read_run(write_run(tmp_path, images=13)))
    with pytest.raises(DeepCacheError, match=r"1.npz was made with other settings than .*run.json says"):
        list(read_run(write_run(tmp_path, settings_hash="0")))
    with pytest.raises(DeepCacheError, match=r"1.npz: samples of 2x2 pixels, but the reference's images have 3"):
        list(read_run(write_run(tmp_path), image_size=3))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": 1, "settings_hash": "", "shards": {"first.npz": ""}}'])
def test_a_damaged_sidecar_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"run.json: not a readable run \(.*\); delete it and run again"):
        read_sidecar(tmp_path / "run.json")


def collect(monkeypatch, paths, output, images) -> int:
    """Exit status of collect_run.py."""
    program = Path(__file__).resolve().parents[2] / "workflow/scripts/collect_run.py"
    options = ["--shards", *paths, "--images", images, "--output", output]
    monkeypatch.setattr(sys, "argv", list(map(str, [program, *options])))
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as end:
        return end.code
    return 0


def test_a_collected_run_is_read_back(tmp_path, monkeypatch, capsys):
    made = {
        "weights": "trained",
        "execution": "eager",
        "device": "CPU",
        "versions": {},
        "commit": None,
        "batch_sizes": [4],
    }
    paths = [tmp_path / f"shards/{i:05d}.npz" for i in range(3)]
    for i, path in enumerate(paths):
        write_shard(path, np.full((4, 2, 2, 1), i, np.uint8), {"seed": 0}, {**made, "seconds": i})
    assert collect(monkeypatch, paths, tmp_path / "run.json", 10) == 0
    run = read_sidecar(tmp_path / "run.json")
    assert (run["images"], run["settings"], run["sampling_seconds"]) == (10, {"seed": 0}, 3)
    assert run["shards"] == {path.name: sha256(path) for path in paths}
    assert np.concatenate(list(read_run(tmp_path / "run.json")))[:, 0, 0, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 2
    assert collect(monkeypatch, paths, tmp_path / "more.json", 13) == 1
    assert "3 shards hold 12 images, fewer than the 13 asked for" in capsys.readouterr().err
    write_shard(paths[2], np.zeros((4, 2, 2, 1), np.uint8), {"seed": 1}, {**made, "seconds": 0})
    assert collect(monkeypatch, paths, tmp_path / "more.json", 4) == 1
    assert "were made with different seed" in capsys.readouterr().err
    assert not (tmp_path / "more.json").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_a_damaged_shard_is_named(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DeepCacheError, match=r"a.npz: not a readable shard"):
        read_shard(tmp_path / "a.npz")
