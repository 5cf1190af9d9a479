"""How large the input of a diffusers U-Net is, told from its config."""

# By `sample_size`, of U-Nets for videos, where that is not the side of a square: Stable Video Diffusion was trained on
# 576x1024 pixels, latents of 72x128, of which a square of side 96 has as many. diffusers' pipeline, too, samples at
# 576x1024, whatever it says.
NOT_SQUARE = {96: (72, 128)}


def height_and_width(config) -> tuple[int, int] | None:
    """Height and width of a U-Net's input, pixels or latents; None where its config tells none."""
    size = getattr(config, "sample_size", None)
    if size is None:
        return None
    if not isinstance(size, int):
        height, width = size
        return height, width
    return NOT_SQUARE.get(size, (size, size)) if num_frames(config) else (size, size)


def num_frames(config) -> int | None:
    """F, the frames that a U-Net for videos is called with; None where it is one for images."""
    return getattr(config, "num_frames", None)
