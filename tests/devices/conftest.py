"""Programs, run on a device that is not there."""

import functools
import importlib
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from deepcache.cost import profiled
from deepcache.generation.generation import Generation
from deepcache.models import benchmarked, paper
from deepcache.sampling.image_to_video import ImageToVideo
from deepcache.sampling.latent_class import LatentClass
from deepcache.sampling.pipeline_model import PipelineModel
from deepcache.sampling.pixel_ddpm import PixelDDPM
from tests.conftest import ROOT
from tests.devices.absent import DEVICE, AbsentDevice, absent_device, leaves
from tests.devices.checkpoints import pixel_unet
from tests.devices.programs import PROGRAMS, WAITS, write_inputs

TRAJECTORIES = tuple((one, "make_latents") for one in (PixelDDPM, LatentClass, PipelineModel, ImageToVideo))


def _on_meta() -> torch.nn.Module:
    with torch.device("meta"):
        return pixel_unet()


def _profile_of_the_host(activities: list) -> profile:
    """The device has nothing to tell."""
    return profile(activities=[ProfilerActivity.CPU])


TINY = {"pixel": benchmarked.Benchmarked(_on_meta, branch=0)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory, call) -> Path:
    """What the programs read; see `write_inputs`."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        write_inputs(folder, call)
    return folder


@pytest.fixture
def on_device(folder, tmp_path) -> Callable[..., AbsentDevice]:
    """Run a program there; options of its own may follow. Returns what was seen of the device.

    Where the program fails, what it failed of is raised.
    """

    def on_device(name: str, steps: int = 4, *options, output: Path | None = None) -> AbsentDevice:
        program = PROGRAMS[name]
        where = ("--device", DEVICE, "--output", output or tmp_path / f"output{program.suffix}")
        path = str(ROOT / "workflow/scripts" / program.script)
        arguments = [path, *map(str, (*program.options(folder, steps), *where, *options))]
        with absent_device(WAITS.__contains__) as device, _trajectories(device), ExitStack() as patches:
            patches.enter_context(patch.dict(benchmarked.BENCHMARKED, TINY))
            patches.enter_context(patch.object(profiled, "profile", _profile_of_the_host))
            patches.enter_context(patch.object(paper, "CACHED", TINY))
            patches.enter_context(patch.object(sys, "argv", arguments))
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                raise end.__context__ or end from None
        return device

    return on_device


@contextmanager
def _trajectories(device: AbsentDevice) -> Iterator[None]:
    """Count them."""

    def counted(method: Callable) -> Callable:
        @functools.wraps(method)
        def call(*args, **kwargs):
            device.trajectories += 1
            return method(*args, **kwargs)

        return call

    with ExitStack() as patches:
        for owner, name in (*TRAJECTORIES, (Generation, "sample")):
            patches.enter_context(patch.object(owner, name, counted(getattr(owner, name))))
        yield


@contextmanager
def planted(target: str, fault: Callable[[torch.Tensor], object]) -> Iterator[None]:
    """Inside, a function begins with a fault, on the first of its arguments that lies on the device."""
    module, _, name = target.partition(":")
    owner, _, function = name.rpartition(".")
    holder = importlib.import_module(module)
    holder = getattr(holder, owner) if owner else holder
    original = getattr(holder, function)

    @functools.wraps(original)
    def faulty(*args, **kwargs):
        for leaf in leaves((args, kwargs)):
            if isinstance(leaf, torch.Tensor) and leaf.device == DEVICE:
                fault(leaf)
                break
        return original(*args, **kwargs)

    with patch.object(holder, function, faulty):
        yield
