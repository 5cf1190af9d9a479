"""Images as clean-fid resizes them (Parmar et al. 2022), for FID as a cross-check."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from cleanfid.resize import make_resizer


def clean_resize(images: torch.Tensor, side: int) -> torch.Tensor:
    """Resize by clean-fid's own function: Pillow's antialiased bicubic filter on each channel, not quantised.

    On the CPU, image by image, in as many threads as torch has: 9 ms for an image of 256 pixels to 299.

    Args:
        images: uint8, shape (B, 1 or 3, H, W), on any device.
        side: of the results in pixels.

    Returns:
        float32, 0 to 255, shape (B, 3, side, side), on the images' device.
    """
    resize = make_resizer("PIL", False, "bicubic", (side, side))
    pixels = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        resized = np.stack(list(threads.map(resize, pixels)))
    return torch.from_numpy(resized).permute(0, 3, 1, 2).contiguous().to(images.device)
