"""Images and masks that a user brings along: read for a pipeline, not measured."""

import io
from pathlib import Path

from PIL import Image, ImageOps

from deepcache.data.formats.decoding import decode
from deepcache.data.formats.folder import image_names
from deepcache.errors import DeepCacheError, reason
from deepcache.progress import progress

ORIENTATION = 0x0112  # EXIF's tag: a camera says by it which side is up
OPAQUE = 255  # in the alpha channel


def list_pictures(place: str | Path) -> list[Path]:
    """The file itself, or the image files below a folder, in the natural order of their names relative to it.

    Raises:
        DeepCacheError: if there is no such file or folder, or the folder holds no images.
    """
    place = Path(place)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DeepCacheError(f"{place}: no such file or folder")
    return [place / name for name in image_names(place)]


def read_picture(path: str | Path) -> Image.Image:
    """Read an image as RGB, upright (the orientation tag is obeyed); transparency is dropped.

    Raises:
        DeepCacheError: if the file cannot be read or is no image of 8 bits a channel.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DeepCacheError(f"{path}: {error.strerror}") from error
    picture = Image.fromarray(decode(content, str(path)))
    try:
        with Image.open(io.BytesIO(content)) as original:
            picture.getexif()[ORIENTATION] = original.getexif().get(ORIENTATION, 1)
        return ImageOps.exif_transpose(picture)
    except Exception as error:  # Pillow's readers raise errors of many kinds where metadata are damaged
        raise DeepCacheError(f"{path}: which side is up cannot be read ({reason(error)}): save it anew") from error


def check_mask(path: str | Path) -> None:
    """Refuse a mask that says by transparency, which is dropped, what white should say.

    Raises:
        DeepCacheError: if it has transparent parts.
    """
    with Image.open(path) as mask:
        least, _ = mask.convert("RGBA").getchannel("A").getextrema()
    if least < OPAQUE:
        raise DeepCacheError(f"{path}: a mask with transparent parts: paint white what is repainted, else black")


def check_pictures(images: list[Path], masks: list[Path] | None, prompts: int) -> None:
    """Read every file once, so that a damaged one is found before hours of work.

    Args:
        images: one for each prompt, or one for all.
        masks: likewise; each as large as its image.
        prompts: number of prompts.

    Raises:
        DeepCacheError: if there are too few or too many, one cannot be read, a mask has another size
            than its image, or as from `check_mask`.
    """
    for kind, files in (("images", images), ("masks", masks)):
        if files is not None and len(files) not in (1, prompts):
            raise DeepCacheError(f"{len(files)} {kind} for {prompts} prompts: give one for each prompt, or one for all")
    bar = progress([*images, *(masks or ())], "checking images", unit="file")
    sizes = {path: read_picture(path).size for path in bar}
    for mask in masks or ():
        check_mask(mask)
    for index in range(max(len(images), len(masks)) if masks is not None else 0):
        image, mask = images[index % len(images)], masks[index % len(masks)]
        if sizes[mask] != sizes[image]:
            is_now, wanted = ("x".join(map(str, sizes[path])) for path in (mask, image))
            raise DeepCacheError(f"{mask}: a mask of {is_now} pixels, but {image} has {wanted}: make them equal")
