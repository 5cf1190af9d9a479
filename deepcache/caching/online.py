"""When, decided while it samples."""

from abc import ABC, abstractmethod

import torch


class OnlineSchedule(ABC):
    """Says at each step of a trajectory whether it runs fully."""

    @abstractmethod
    def reset(self) -> None:
        """Begin a trajectory."""

    @abstractmethod
    def is_full(self, step: int, sample: torch.Tensor) -> bool:
        """Whether a step runs fully; called once for each, in order.

        Args:
            step: from 0.
            sample: what the U-Net is called with, shape (B, C, H, W).
        """
