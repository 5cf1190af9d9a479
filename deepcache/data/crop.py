"""What is done to a reference image before features are taken: crop and resize."""

import numpy as np
from PIL import Image

from deepcache.errors import DeepCacheError

CROPS = ("none", "center", "whole")


def prepare(image: np.ndarray, size: int, crop: str) -> np.ndarray:
    """Bring an image to `size` x `size` pixels, or leave it whole.

    Args:
        image: uint8, shape (H, W, C), C is 1 or 3.
        size: side of the result in pixels.
        crop: `none`: the image must have that size; `center`: the square of the shorter side in the middle, resized.
            As in ADM's preparation of ImageNet (Dhariwal and Nichol 2021), whose order is kept because rounding depends
            on it: the image is halved by averaging 2x2 pixels while its shorter side is at least twice too long, then
            resized by Pillow's antialiased bicubic filter until the shorter side fits, and then cropped. `whole`: the
            image as it is, for an extractor that squeezes any shape into its square, as pytorch-fid's does with the
            pictures of COCO.

    Returns:
        uint8, shape (size, size, C); of `whole` the image's own.

    Raises:
        DeepCacheError: if crop is `none` and the size is another, or crop is none of these.
    """
    height, width = image.shape[:2]
    if crop not in CROPS:
        raise DeepCacheError(f"crop must be one of {', '.join(CROPS)}, not {crop!r}")
    if crop == "whole" or (height, width) == (size, size):
        return image
    if crop == "none":
        raise DeepCacheError(f"{width}x{height} pixels, not {size}x{size}: use `crop: center` or another image size")
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    while min(picture.size) >= 2 * size:
        picture = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)
    scale = size / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    top, left = (picture.height - size) // 2, (picture.width - size) // 2
    return np.asarray(picture).reshape(picture.height, picture.width, -1)[top : top + size, left : left + size]
