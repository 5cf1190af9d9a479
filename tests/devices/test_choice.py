"""Which device a program chooses, of those that are not there."""

import tempfile

import pytest
import torch

from deepcache import gpu_lock
from deepcache.devices import choose_device, only
from deepcache.errors import DeepCacheError
from deepcache.gpus import JOBS_PER_GPU
from tests.devices.absent import absent_device
from tests.gpu_holders import HOLD, gpu_of, starter


@pytest.fixture(autouse=True)
def nothing_taken(tmp_path, monkeypatch):
    """As in a process of its own, with the locks where the other ones of the test have theirs."""
    monkeypatch.setattr(gpu_lock, "_held", {})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(JOBS_PER_GPU)


@pytest.fixture
def take(tmp_path):
    """Have another process take a GPU."""
    with starter(tmp_path) as start:
        yield lambda: gpu_of(start(HOLD, 1, "absent-0", "absent-1"))


@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_a_free_gpu_is_chosen_and_becomes_the_current_one(name, take):
    assert take() == 0
    with absent_device() as machine:
        assert choose_device(name) == machine.chosen == torch.device("cuda", 1)
        assert choose_device(name) == torch.device("cuda", 1)
    assert only(machine.chosen) == {"CUDA_VISIBLE_DEVICES": "1", JOBS_PER_GPU: "0"}


def test_a_gpu_that_is_named_is_taken_at_its_word(take):
    assert {take(), take()} == {0, 1}
    with absent_device() as machine:
        assert choose_device("cuda:1") == machine.chosen == torch.device("cuda", 1)
        with pytest.raises(DeepCacheError, match="device 'cuda:2' is not there: 2 CUDA devices found"):
            choose_device("cuda:2")


def test_where_somebody_else_hands_out_gpus_it_is_the_first(take, monkeypatch):
    assert {take(), take()} == {0, 1}
    monkeypatch.setenv(JOBS_PER_GPU, "0")
    with absent_device():
        assert choose_device("cuda") == torch.device("cuda", 0)


def test_a_gpu_is_shared_where_that_is_wanted(take, monkeypatch):
    assert {take(), take()} == {0, 1}
    monkeypatch.setenv(JOBS_PER_GPU, "2")
    with absent_device():
        assert choose_device("cuda") == torch.device("cuda", 0)


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5"])
def test_the_variable_is_a_number(text, monkeypatch):
    monkeypatch.setenv(JOBS_PER_GPU, text)
    with absent_device(), pytest.raises(DeepCacheError, match=f"^{JOBS_PER_GPU}={text}: "):
        choose_device("cuda")


def test_no_lock_is_made_on_a_cpu(tmp_path):
    assert choose_device("auto" if not torch.cuda.is_available() else "cpu") == torch.device("cpu")
    assert not list(tmp_path.iterdir())
    assert only(torch.device("cpu")) == {}


def test_programs_that_are_started_see_the_gpu_of_those_that_this_one_sees(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    assert only(torch.device("cuda", 1))["CUDA_VISIBLE_DEVICES"] == "5"
