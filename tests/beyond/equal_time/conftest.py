"""A contest in which steps cost what COSTS says and little is tried."""

import pytest
import torch

from deepcache.beyond.comparison.compared import Comparison
from deepcache.beyond.equal_time import contest as module
from deepcache.beyond.equal_time.contest import Asked, Contest
from deepcache.beyond.equal_time.timing import GATED
from deepcache.beyond.tuning.costs import Costs
from deepcache.beyond.tuning.kept import Kept
from deepcache.beyond.tuning.tuner import Effort
from deepcache.caching.branches import OUTPUT
from deepcache.cost.timing import Timing
from deepcache.sampler import Sampler
from deepcache.sampling.families import load_model
from tests.beyond.tiny import TinyModel
from tests.conftest import ROOT

COSTS = Costs(0.0, 1.0, {0: 0.3, 1: 0.5, 2: 0.6, 3: 0.7, OUTPUT: 0.01})
SMALL = Effort(screened=1, images=2, recorded=2, probes=1, at_once=2)
PROMPTS = ["a photo of the digit three", "a photo of the digit eight"]


@pytest.fixture
def steps(monkeypatch):
    """What the parts of a trajectory cost, and what whole ones take: the same, unless a test has it otherwise."""
    steps = {"costs": COSTS, "late": {}}

    def times(model, settings, *_):
        taken = {name: one.full * steps["late"].get(name, 1.0) if one.full else 1e9 for name, one in settings.items()}
        return {name: Timing((seconds, seconds)) for name, seconds in taken.items()}

    monkeypatch.setattr(module, "time_steps", lambda *_: steps["costs"])
    monkeypatch.setattr(module, "macs_of_steps", lambda *_: (10.0, {**steps["costs"].shallow, OUTPUT: 0.0}))
    monkeypatch.setattr(module, "speeds", lambda model, settings, *_: dict.fromkeys(settings, 1.2))
    monkeypatch.setattr(module, "times", times)
    monkeypatch.setattr("deepcache.beyond.tuning.candidate.STRETCHES", (1.0, 2.0))
    for place in ("tuning.tuner", "equal_time.methods"):  # the tiny model runs every sampler as DDIM
        monkeypatch.setattr(f"deepcache.beyond.{place}.SAMPLERS", ("ddim",))
    for name, value in {"EVEN": ((1, 1.0),), "SEARCHED": ((2, 0.3),), "TRIES": 20}.items():
        monkeypatch.setattr(f"deepcache.beyond.tuning.tuner.{name}", value)
    return steps


@pytest.fixture
def tiny(unet2d):
    """A model without cross-attention."""
    return TinyModel(unet2d)


@pytest.fixture
def painter(steps):
    """A guided model with cross-attention."""
    steps["costs"] = Costs(0.0, 1.0, {**COSTS.shallow, GATED: 0.4})
    return load_model(ROOT / "resources/checkpoints/digits-sd", torch.device("cpu"), "float32", PROMPTS)


def contest(model, usual: str, targets, kept=None, few=(), picking=None, **hooks) -> Contest:
    asked = Asked(Sampler.parse(usual), targets, few, SMALL, seeds=(0, 1), images=2, batch_size=2, repeats=2)
    return Contest(model, picking or model, asked, Comparison(), torch.device("cpu"), kept or Kept(), **hooks)
