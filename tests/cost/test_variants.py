"""What a timing job times: every variant in one mode, whatever stands in the way of recording one."""

import pytest
import torch
from diffusers import DDPMPipeline

from deepcache import DeepCache
from deepcache.caching.execution import execution_of
from deepcache.caching.graphs import RecordingError
from deepcache.cost.variants import Variants, measure_variants
from deepcache.models.checkpoints import write_manifest
from deepcache.models.digits import ddpm_scheduler
from deepcache.sampling.model import ImageModel
from tests.conftest import make_unet2d

CPU = torch.device("cpu")
NAMES = ("tiny/ddim-6/full", "tiny/ddim-6/uniform-n3-b2", "tiny/ddim-6/uniform-n2-b1-forecast1")


@pytest.fixture
def make(tmp_path):
    """Loads the models of variants."""
    DDPMPipeline(make_unet2d(), ddpm_scheduler()).save_pretrained(tmp_path / "tiny")
    manifest = tmp_path / "tiny.json"
    write_manifest(manifest, "tiny", tmp_path / "tiny", source="local", expected={})
    return lambda execution: Variants({"tiny": manifest}, {}, {}, {}, {}, 2, CPU, execution)


@pytest.fixture
def sampled(monkeypatch):
    """The images of each run."""
    found, sample = [], ImageModel.sample

    def kept(self, *args):
        found.append(sample(self, *args))
        return found[-1]

    monkeypatch.setattr(ImageModel, "sample", kept)
    return found


def test_eager_without_a_gpu(make):
    found, mode = measure_variants(NAMES, 2, CPU, make, execution_of("auto"))
    assert mode == "eager"
    assert {name: len(one.seconds) for name, one in found.items()} == dict.fromkeys(NAMES, 2)


def test_replayed_with_one_and_recorded_once(make, recorder, sampled):
    _, mode = measure_variants(NAMES, 2, CPU, make, execution_of("auto"))
    assert mode == "replay" and recorder.recorded == 1 + 2 + 2, "full and shallow passes of each variant"
    replayed = sampled[:3]
    sampled.clear()
    assert measure_variants(NAMES, 1, CPU, make, execution_of("eager"))[1] == "eager"
    for one, eager in zip(replayed, sampled[:3], strict=True):
        assert (one == eager).all()


@pytest.mark.parametrize("error", [RuntimeError("operation not permitted"), torch.OutOfMemoryError("too large")])
def test_where_one_cannot_be_recorded_none_is(make, recorder, capsys, error):
    recorder.error = error
    found, mode = measure_variants(NAMES, 1, CPU, make, execution_of("auto"))
    assert mode == "eager" and set(found) == set(NAMES)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].endswith(": all variants run as they are")
    with pytest.raises((RecordingError, torch.OutOfMemoryError)):
        measure_variants(NAMES, 1, CPU, make, execution_of("replay"))


def test_a_twin_has_the_weights_and_not_the_modules(make):
    known = make(execution_of("eager"))
    known.trajectory(NAMES[0])
    ((model, _),) = known._models.values()
    twin = model.twin()
    assert twin.unet is not model.unet and twin.unet.conv_in.weight is model.unet.conv_in.weight
    with DeepCache(twin.unet, 2):
        assert DeepCache.of(model.unet) is None
