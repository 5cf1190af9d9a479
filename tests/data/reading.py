"""Random datasets of every format, and what a call that fails says."""

import io

import pytest
from PIL import Image

from deepcache import DeepCacheError
from deepcache.data.datasets import open_images

COUNT, SIDE, SEED = 12, 32, 3


def failure(function, *arguments, **options):
    """The one line of the error that a call ends with."""
    with pytest.raises(DeepCacheError) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def read_all(form, path):
    return list(open_images(form, path).read())
