"""A shard says how the passes ran, and holds the same images where that is exact."""

import numpy as np
import pytest
from diffusers import DDPMPipeline

from deepcache.caching import execution
from deepcache.models.checkpoints import write_manifest
from deepcache.models.digits import ddpm_scheduler
from deepcache.sampling.shards import read_shard
from tests.conftest import make_unet2d


@pytest.fixture
def sample(tmp_path, call):
    """Run sample.py; the shard's images and what it says."""
    DDPMPipeline(make_unet2d(), ddpm_scheduler()).save_pretrained(tmp_path / "tiny")
    write_manifest(tmp_path / "tiny.json", "tiny", tmp_path / "tiny", source="local", expected={})

    def sample(method, *options):
        asked = ["--checkpoint", tmp_path / "tiny.json", "--sampler", "ddim-6", "--method", method, *options]
        asked += ["--shard-size", 4, "--batch-size", 3, "--device", "cpu", "--output", tmp_path / "0.npz"]
        assert call("sample.py", *asked) == 0
        return read_shard(tmp_path / "0.npz")

    return sample


@pytest.mark.parametrize("method", ["full", "uniform-n2-b1", "uniform-n2-b1-forecast1"])
def test_replayed_images_are_the_eager_ones(sample, recorder, method):
    eager, before = sample(method, "--execution", "eager")
    assert recorder.recorded == 0
    replayed, after = sample(method)
    assert recorder.recorded == (2 if method == "full" else 4), "batches of three and of one"
    assert np.array_equal(replayed, eager) and after["settings_hash"] == before["settings_hash"]
    assert (before["made"]["execution"], after["made"]["execution"]) == ("eager", "replay")


def test_what_cannot_be_recorded_runs_as_it_is_and_says_so(sample, recorder, caplog):
    recorder.error = RuntimeError("operation not permitted")
    images, about = sample("uniform-n2-b1")
    assert about["made"]["execution"] == "eager"
    said = "cannot be recorded in a CUDA graph (operation not permitted): it runs as it is"
    assert [one.getMessage() for one in caplog.records] == [f"the full pass {said}", f"the shallow pass {said}"]
    assert np.array_equal(images, sample("uniform-n2-b1", "--execution", "eager")[0])


def test_compiled_images_are_others(sample, monkeypatch):
    """They round otherwise."""
    monkeypatch.setattr(execution, "Compiled", lambda function, **options: function)  # which takes a minute
    _, eager = sample("uniform-n2-b1")
    _, compiled = sample("uniform-n2-b1", "--execution", "compile_shallow")
    assert compiled["made"]["execution"] == "compile_shallow"
    assert compiled["settings"] == {**eager["settings"], "compiled": "shallow"}
    assert compiled["settings_hash"] != eager["settings_hash"]
