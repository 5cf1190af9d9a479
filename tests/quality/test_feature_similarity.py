"""Similarity of features between steps, against a direct computation."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from deepcache import DeepCacheError
from deepcache.quality.feature_similarity import FeatureSimilarity, similar_share
from tests.caching.reference import trajectory

LAYER = "up_blocks.2"


def features(unet, layer: str, **options) -> list[torch.Tensor]:
    """The layer's output at each step."""
    found = []
    handle = unet.get_submodule(layer).register_forward_hook(lambda module, inputs, output: found.append(output))
    trajectory(unet, DDIMScheduler(), 4, **options)
    handle.remove()
    return found


@pytest.mark.parametrize("layer", [LAYER, "up_blocks.2.resnets.1", "mid_block"])
def test_matrix_is_the_direct_computation(unet2d, layer):
    similarity = FeatureSimilarity()
    for seed, batch in ((0, 2), (1, 3)):
        with similarity.recording(unet2d, layer):
            trajectory(unet2d, DDIMScheduler(), 4, seed=seed, batch=batch)
    runs = [features(unet2d, layer, seed=seed, batch=batch) for seed, batch in ((0, 2), (1, 3))]
    direct = np.zeros((4, 4))
    for s in range(4):
        for t in range(4):
            cosines = [
                torch.nn.functional.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0).item()
                for run in runs
                for a, b in zip(run[s], run[t], strict=True)
            ]
            assert len(cosines) == 5
            direct[s, t] = np.mean(cosines)
    assert np.abs(similarity.matrix() - direct).max() < 1e-6
    assert np.allclose(np.diag(direct), 1)
    assert similarity.maps.shape == (4, *runs[0][0].shape[2:])
    assert np.allclose(similarity.maps[2], runs[0][2][0].mean(0).numpy(), atol=1e-6)


def test_share_of_similar_steps():
    matrix = np.array([[1.0, 0.96, 0.2], [0.96, 1.0, 0.95], [0.2, 0.95, 1.0]])
    assert similar_share(matrix).tolist() == [0.5, 0.5, 0.0]
    assert similar_share(matrix, 0.9).tolist() == [0.5, 1.0, 0.5]
    with pytest.raises(DeepCacheError, match="needs two of them"):
        similar_share(np.ones((1, 1)))


def test_nothing_is_left_behind_and_mistakes_are_named(unet2d):
    similarity = FeatureSimilarity()
    with pytest.raises(DeepCacheError, match=r"layer up_blocks\.9: the U-Net has none of this name; it has conv_in, "):
        similarity.recording(unet2d, "up_blocks.9").__enter__()
    with pytest.raises(DeepCacheError, match="layer mid_block did not run"), similarity.recording(unet2d, "mid_block"):
        pass
    with pytest.raises(DeepCacheError, match="TimestepEmbedding gives no feature map"):  # noqa: SIM117
        with similarity.recording(unet2d, "time_embedding"):
            trajectory(unet2d, DDIMScheduler(), 2)
    with similarity.recording(unet2d, LAYER):
        trajectory(unet2d, DDIMScheduler(), 3)
    with pytest.raises(DeepCacheError, match="ran 2 times, but 3 times before"), similarity.recording(unet2d, LAYER):
        trajectory(unet2d, DDIMScheduler(), 2)
    assert similarity.matrix().shape == (3, 3)
    assert not any(module._forward_hooks for module in unet2d.modules())
