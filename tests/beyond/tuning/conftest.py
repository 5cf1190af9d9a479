"""A checkpoint, and a search in which little is tried."""

import pytest
import torch
from diffusers import StableDiffusionPipeline

from deepcache.beyond.tuning.costs import Costs
from deepcache.beyond.tuning.tuner import Effort
from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.plan import Plan
from tests.generation.checkpoints import save

COSTS = Costs(0.0, 1.0, {0: 0.3, 1: 0.5})
STEPS = 20
SMALL = Effort(screened=1, images=2, recorded=2, probes=1, at_once=2)


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("sd"))


@pytest.fixture
def quick(monkeypatch):
    """Steps cost what COSTS says, what is measured in the end is as was asked for, and little is tried."""
    for place in ("pipelines", "checkpoint", "tuner"):  # tune.py fetches it from the last one
        monkeypatch.setattr(f"deepcache.beyond.tuning.{place}.Effort", lambda **_: SMALL)
    monkeypatch.setattr("deepcache.beyond.tuning.candidate.STRETCHES", (1.0, 2.0))
    small = {"SAMPLERS": ("dpmpp", "ddim"), "EVEN": ((1, 1.0),), "SEARCHED": ((2, 0.3),), "TRIES": 50}
    for name, value in small.items():
        monkeypatch.setattr(f"deepcache.beyond.tuning.tuner.{name}", value)
    monkeypatch.setattr("deepcache.beyond.tuning.tune.measure_costs", lambda *_, **__: COSTS)
    monkeypatch.setattr("deepcache.beyond.tuning.tune._measured", lambda model, usual, best, *_: (20.0, best.cost))


@pytest.fixture(scope="package")
def made(folder) -> Plan:
    """A plan for the checkpoint that no search found."""
    unet = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32).unet
    weights = {step: {0: -0.5, 2: 1.5} for step in range(3, STEPS)} | {1: {0: 1.0}}
    sampler = f"ddim-{STEPS}-cfg3"
    return Plan("made", {}, fingerprint(unet), sampler, STEPS, 0, "float32", (0, 2), weights)
