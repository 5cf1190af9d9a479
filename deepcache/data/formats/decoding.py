"""Decoding one image file with Pillow."""

import io
import warnings

import numpy as np
from PIL import Image

from deepcache.errors import DeepCacheError, reason

# Of 8 bits a channel: Pillow would clip the values of the others.
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


def decode(content: bytes, name: str) -> np.ndarray:
    """Decode an image as RGB; transparency is dropped, and orientation tags are ignored, as in ADM's preparation.

    Args:
        content: the bytes of the file.
        name: for messages.

    Returns:
        uint8, shape (H, W, 3).

    Raises:
        DeepCacheError: if the file is empty, is no image, is damaged, or has more than 8 bits a channel.
    """
    if not content:
        raise DeepCacheError(f"{name}: the file is empty: remove it or get it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which does not touch the pixels
            with Image.open(io.BytesIO(content)) as image:
                if image.mode not in MODES:
                    raise DeepCacheError(f"{name}: has {image.mode} pixels: only 8 bits a channel are read: convert it")
                return np.asarray(image.convert("RGB"))
    except DeepCacheError:
        raise
    except Exception as error:  # Pillow's readers raise errors of many kinds where a file is damaged
        why = "no known image format" if isinstance(error, Image.UnidentifiedImageError) else reason(error)
        raise DeepCacheError(f"{name}: not readable as an image ({why}): remove it or get it again") from error
