"""Batches that do not fit into the device's memory are halved, and nothing is lost."""

import numpy as np
import pytest
import torch

from deepcache.errors import DeepCacheError
from deepcache.fitting import Fitting
from deepcache.quality import extractors


class Room:
    """A function of batches for which there is room up to a size; it notes those that it was asked for."""

    def __init__(self, room: int):
        self.room, self.asked = room, []

    def __call__(self, *batches):
        self.asked.append(len(batches[0]))
        if len(batches[0]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(zip(*batches, strict=True))


def test_parts_are_halved_until_they_fit_and_stay_so():
    function = Room(3)
    fitting = Fitting(function)
    found = [list(fitting(range(start, start + 8), "abcdefgh")) for start in (0, 8)]
    assert function.asked == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    for start, parts in zip((0, 8), found, strict=True):
        assert [pair for part in parts for pair in part] == list(zip(range(start, start + 8), "abcdefgh", strict=True))


def test_no_more_are_taken_than_is_asked_for():
    function = Room(8)
    assert [pair for part in Fitting(function, 3)(range(8)) for pair in part] == [(i,) for i in range(8)]
    assert function.asked == [3, 3, 2]


def test_where_not_even_one_fits():
    with pytest.raises(DeepCacheError, match="does not hold the model and one image"):
        list(Fitting(Room(0))(range(4)))


def test_features_are_the_same_where_the_memory_is_small(monkeypatch):
    """The extractor is one that gives an image's mean, and takes no more than three at a time."""

    class Means(torch.nn.Module):
        def __init__(self, kind, names, checkpoint):
            super().__init__()
            self.names = names

        @staticmethod
        def get_provided_features_list():
            return ("pool",)

        def convert_features_tuple_to_dict(self, features):
            return dict(zip(self.names, features, strict=True))

        def forward(self, images):
            if len(images) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return (images.float().mean((1, 2, 3))[:, None],)

    monkeypatch.setitem(extractors.EXTRACTORS, "means", Means)
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    features = extractors.load_extractor("means", None, torch.device("cpu"))
    np.testing.assert_allclose(features(images)["pool"][:, 0], images.mean((1, 2, 3)), rtol=1e-6)
