"""torch-fidelity's Inception and torchvision's AlexNet with random weights."""

import io
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
from torchvision.models import alexnet


class _Random(FeatureExtractorInceptionV3):
    """Made without weights: what it insists on loading is empty."""

    def load_state_dict(self, state_dict, *arguments, **options):
        assert state_dict == {}


@pytest.fixture(scope="session")
def inception(tmp_path_factory) -> Path:
    """Folder with a state dict under which the features neither vanish nor explode."""
    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _Random("random", ["2048"], feature_extractor_weights_path=empty)
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
    folder = tmp_path_factory.mktemp("inception")
    torch.save(model.state_dict(), folder / URL_INCEPTION_V3.rpartition("/")[2])
    return folder


@pytest.fixture(scope="session")
def trunk() -> nn.Module:
    """torchvision's AlexNet with random weights under which the features neither vanish nor explode."""
    model, generator = alexnet(), torch.Generator().manual_seed(0)
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def trunk_folder(trunk, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alexnet")
    torch.save(trunk.state_dict(), folder / "alexnet-owt-7be5be79.pth")
    return folder
