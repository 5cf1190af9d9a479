"""What noise torch is asked for."""

import torch
from torch.overrides import TorchFunctionMode


class Drawn(TorchFunctionMode):
    """Types of the noise that torch is asked for, but for that of weights, which has no generator of its own."""

    def __init__(self):
        super().__init__()
        self.dtypes = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.randn and kwargs.get("generator") is not None:
            self.dtypes.append(kwargs.get("dtype", torch.float32))  # torch's default
        return func(*args, **kwargs)
