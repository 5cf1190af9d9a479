"""Recordings: what is written is read again, and refused for anything else."""

import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.beyond.calibration.recorded import Recorded, open_recorded, read_recorded, write_recorded
from deepcache.sampler import Sampler
from tests.beyond.made_rows import made_rows

MANIFEST = {"name": "digits-ddpm", "sha256": {"unet/model.safetensors": "0" * 64}}
SAMPLER = Sampler("ddim", 3)
RECORDED = Recorded(made_rows(3), np.arange(9.0).reshape(3, 3), 6, 2, 7001)


def test_a_recording_comes_back_as_it_was(tmp_path):
    write_recorded(tmp_path / "recorded.npz", RECORDED, MANIFEST, SAMPLER, 2)
    found = read_recorded(tmp_path / "recorded.npz", MANIFEST, SAMPLER, 2)
    assert np.array_equal(found.gram, RECORDED.gram) and np.array_equal(found.rows.products, RECORDED.rows.products)
    assert np.array_equal(found.rows.images, RECORDED.rows.images) and found.rows.elements == RECORDED.rows.elements
    assert (found.images, found.probes, found.seed) == (6, 2, 7001)
    about = open_recorded(tmp_path / "recorded.npz")[1]
    assert (about["sampler"], about["branch"]) == ("ddim-3", 2)


@pytest.mark.parametrize(
    ("manifest", "sampler", "branch", "key"),
    [
        ({**MANIFEST, "sha256": {"unet/model.safetensors": "1" * 64}}, SAMPLER, 2, "weights"),
        (MANIFEST, Sampler("ddim", 4), 2, "sampler"),
        (MANIFEST, SAMPLER, 1, "branch"),
    ],
)
def test_a_recording_of_something_else_is_refused(tmp_path, manifest, sampler, branch, key):
    write_recorded(tmp_path / "recorded.npz", RECORDED, MANIFEST, SAMPLER, 2)
    with pytest.raises(DeepCacheError, match=rf"recorded\.npz: recorded with another {key} than .*: record again"):
        read_recorded(tmp_path / "recorded.npz", manifest, sampler, branch)


def test_a_damaged_recording_is_named(tmp_path):
    (tmp_path / "recorded.npz").write_bytes(b"PK")
    with pytest.raises(DeepCacheError, match=r"recorded\.npz: not a readable recording .*; delete it and record again"):
        read_recorded(tmp_path / "recorded.npz", MANIFEST, SAMPLER, 2)
