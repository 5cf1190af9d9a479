"""Cropping and resizing of reference images."""

import numpy as np
import pytest
from PIL import Image

from deepcache import DeepCacheError
from deepcache.data.crop import prepare


def noise(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_an_image_of_the_right_size_is_left_as_it_is():
    image = noise(32, 32)
    assert np.array_equal(prepare(image, 32, "none"), image)
    assert np.array_equal(prepare(image, 32, "center"), image)


def test_without_a_crop_another_size_is_refused():
    with pytest.raises(DeepCacheError, match=r"^40x32 pixels, not 32x32: use `crop: center`"):
        prepare(noise(32, 40), 32, "none")
    with pytest.raises(DeepCacheError, match="crop must be one of none, center, whole, not 'left'"):
        prepare(noise(32, 40), 32, "left")


def test_a_whole_image_stays_as_it_is():
    image = noise(32, 40)
    assert np.array_equal(prepare(image, 16, "whole"), image)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(8, 13, 0, 2), (13, 8, 2, 0), (8, 8, 0, 0)])
def test_the_middle_square_is_cut_out(height, width, top, left):
    image = noise(height, width)
    assert np.array_equal(prepare(image, 8, "center"), image[top : top + 8, left : left + 8])


def test_powers_of_two_are_plain_averages():
    """Four times too large: halved twice, each time across and then down, rounding half up."""
    image = noise(32, 32)
    expected = image.astype(float)
    for _ in range(2):
        across = np.floor((expected[:, 0::2] + expected[:, 1::2]) / 2 + 0.5)
        expected = np.floor((across[0::2] + across[1::2]) / 2 + 0.5)
    assert np.array_equal(prepare(image, 8, "center"), expected)


def test_other_sizes_are_halved_and_then_bicubic():
    """500x375, an ImageNet size, to 64: 500x375, 250x187, 125x93, and then by 64/93."""
    image = Image.fromarray(noise(375, 500))
    halved = image.resize((250, 187), Image.Resampling.BOX).resize((125, 93), Image.Resampling.BOX)
    scaled = np.asarray(halved.resize((86, 64), Image.Resampling.BICUBIC))
    assert np.array_equal(prepare(noise(375, 500), 64, "center"), scaled[:, 11:75])


def test_small_images_are_enlarged():
    assert prepare(noise(5, 3), 16, "center").shape == (16, 16, 3)
    assert prepare(noise(1, 1), 16, "center").shape == (16, 16, 3)


def test_grey_stays_grey():
    image = noise(30, 20, 1)
    found = prepare(image, 8, "center")
    assert found.shape == (8, 8, 1)
    assert np.array_equal(found[..., 0], prepare(np.repeat(image, 3, axis=2), 8, "center")[..., 1])


def test_constant_images_stay_constant():
    assert np.array_equal(np.unique(prepare(np.full((51, 77, 3), 200, np.uint8), 10, "center")), [200])
