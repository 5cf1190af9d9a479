import copy
import sys
from types import SimpleNamespace

import pytest
import torch

from deepcache.beyond.comparison.token_merging import merged, merging_version


@pytest.fixture
def package(monkeypatch):
    """Stands in for tomesd: as there, modules get an attribute with a generator, and torch's own state seeds it."""

    def apply_patch(unet, ratio):
        drawn = torch.rand(1).item()
        info = {"generator": torch.Generator(), "hooks": []}
        info["hooks"].append(unet.register_forward_pre_hook(lambda module, args: (args[0] * ratio + drawn,)))
        for module in unet.modules():
            module._tome_info = info

    def remove_patch(unet):
        for hook in unet._tome_info["hooks"]:
            hook.remove()

    monkeypatch.setitem(sys.modules, "tomesd", SimpleNamespace(apply_patch=apply_patch, remove_patch=remove_patch))


def outputs(unet, *settings) -> torch.Tensor:
    with merged(unet, *settings):
        return unet(torch.ones(1, 2))


@torch.no_grad()
def test_merged_inside_and_untouched_outside(package):
    unet = torch.nn.Sequential(torch.nn.Linear(2, 2))
    before, state = unet(torch.ones(1, 2)), torch.get_rng_state()
    assert not torch.equal(outputs(unet, 0.5), before)
    with pytest.raises(ZeroDivisionError), merged(unet, 0.5):
        1 / 0  # noqa: B018
    assert torch.equal(unet(torch.ones(1, 2)), before)
    assert torch.equal(torch.get_rng_state(), state)
    copy.deepcopy(unet)  # a generator could not be copied


@torch.no_grad()
def test_draws_are_those_of_the_seed(package):
    unet = torch.nn.Sequential(torch.nn.Linear(2, 2))
    first = outputs(unet, 0.5, 3)
    torch.rand(5)
    assert torch.equal(outputs(unet, 0.5, 3), first)
    assert not torch.equal(outputs(unet, 0.5, 4), first)
    assert not torch.equal(outputs(unet, 0.25, 3), first)


def test_version_of_what_is_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert merging_version() is None
    (tmp_path / "tomesd-0.1.dist-info").mkdir()
    (tmp_path / "tomesd-0.1.dist-info/METADATA").write_text("Name: tomesd\nVersion: 0.1\n", encoding="utf-8")
    assert merging_version() == "0.1"
