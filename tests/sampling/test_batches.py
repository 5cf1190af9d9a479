"""Batches that fit, fetched in order."""

import logging

import pytest
import torch

from deepcache import DeepCacheError
from deepcache.sampling.batches import sample_batches


class Device:
    """Makes an image of one pixel of each index, if no more than `room` are asked for at a time."""

    def __init__(self, room):
        self.room, self.asked = room, []

    def __call__(self, indices):
        self.asked.append(len(indices))
        if len(indices) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.tensor(list(indices), dtype=torch.uint8).view(-1, 1, 1, 1)


def test_all_images_in_order():
    sampled = sample_batches(Device(8), range(3, 14), 4)
    assert sampled.images.shape == (11, 1, 1, 1)
    assert sampled.images.ravel().tolist() == list(range(3, 14))
    assert sampled.batch_sizes == (4, 4, 3)
    assert sampled.seconds > 0


def test_a_batch_that_does_not_fit_is_halved_and_stays_so(caplog):
    device = Device(3)
    with caplog.at_level(logging.WARNING):
        sampled = sample_batches(device, range(7), 8)
    assert sampled.images.ravel().tolist() == list(range(7))
    assert device.asked == [7, 3, 3, 1]
    assert sampled.batch_sizes == (3, 3, 1)
    assert "7 images do not fit into the device's memory: going on with 3" in caplog.text


def test_an_image_that_does_not_fit():
    with pytest.raises(DeepCacheError, match="does not hold the model and one image"):
        sample_batches(Device(0), range(2), 2)


def test_what_fails_while_sampling_is_told():
    def fail(indices):
        raise ValueError("no such label")

    with pytest.raises(ValueError, match="no such label"):
        sample_batches(fail, range(2), 2)
