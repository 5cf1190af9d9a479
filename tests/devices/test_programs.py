"""Every program on a device that is not there: nothing lies elsewhere, no step waits, faults are found."""

import re

import pytest
import torch

from deepcache.precision import tf32
from tests.conftest import ROOT
from tests.devices.absent import DEVICE, AbsentDevice, Wait
from tests.devices.conftest import planted
from tests.devices.programs import CLASSIFIER, COUNTED, PROGRAMS, STEPS, WAITS

SAMPLING = ("sample", "feature_similarity", "generate", "image-to-image")
# diffusers' inpainting fetches the next timestep at every step, to put the picture's own pixels back: not among them.
SLOW = {"calibrate", "sweep", "budget", "record_features", "memory", "time_models", "tune"}  # many trajectories


def marked(names) -> list:
    """The slow ones of them are marked so."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


# Sampled first, and then measured: a fault in what measures takes longest to come to.
PLANTED = [
    pytest.param(name, inner, marks=[pytest.mark.slow] if name in SLOW and inner == CLASSIFIER else [])
    for name, program in PROGRAMS.items()
    for inner in program.inner
]


def check_waits(device: AbsentDevice, batches: int) -> None:
    """None of the places waits more often than the list allows."""
    units = {"job": 1, "trajectory": device.trajectories, "batch": batches}
    for place, count in device.waits.items():
        number, of = WAITS[place]
        assert of not in COUNTED or count <= number * units[of], f"{place} waits {count} times"


@pytest.mark.parametrize("name", marked(PROGRAMS))
def test_all_lies_on_the_device_and_waits_are_those_of_the_list(name, on_device):
    program, device = PROGRAMS[name], on_device(name)
    images = 20 * (name == "sweep") + 8 * (name == "budget")  # of ways, each measured as one batch
    check_waits(device, program.batches or images)
    assert device.operations > 50
    assert device.rounded <= ({()} if program.exact else {(), tuple(tf32(DEVICE))})


@pytest.mark.parametrize("name", SAMPLING)
def test_waits_do_not_grow_with_the_steps(name, on_device, tmp_path):
    few, many = (on_device(name, steps, output=tmp_path / f"{steps}.npz") for steps in STEPS)
    assert few.waits == many.waits
    assert few.operations < many.operations


@pytest.mark.parametrize(("name", "inner"), PLANTED)
def test_a_tensor_on_another_device_is_found(name, inner, on_device):
    elsewhere = planted(inner, lambda tensor: tensor + torch.ones(tensor.shape))
    with elsewhere, pytest.raises(RuntimeError, match=r"two.* devices"):
        on_device(name)


@pytest.mark.parametrize(("name", "inner"), PLANTED)
def test_a_wait_is_found(name, inner, on_device):
    waiting = planted(inner, lambda tensor: tensor.sum().item())
    with waiting, pytest.raises(Wait, match="test_a_wait_is_found"):
        on_device(name)


def test_programs_that_take_a_device_are_all_here():
    scripts = ROOT / "workflow/scripts"
    adding = re.compile(r"add_(?:device|model)_options\(")
    taking = {
        str(path.relative_to(scripts))
        for path in scripts.rglob("*.py")
        if adding.search(path.read_text(encoding="utf-8"))
    }
    taking.remove("gpu_speed.py")  # rounds of what latency.py does, at sizes that only a GPU has time for
    assert taking == {program.script for program in PROGRAMS.values()}
