"""The arguments of a call of a U-Net, by position or by name."""

import inspect

import torch
from torch import nn

from deepcache.caching.known_unets import layers_of

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class UNetCall:
    """Reads calls of a U-Net.

    Args:
        unet: the first argument of its `forward` is the sample, the second the timestep.
    """

    def __init__(self, unet: nn.Module):
        taken = list(inspect.signature(type(unet).forward).parameters.values())[1:3]
        names = [one.name if one.kind in NAMED else None for one in taken] + [None, None]
        self._sample, self._timestep = names[0] or "sample", names[1] or "timestep"
        self._is_diffusers = layers_of(unet) is None

    def sample(self, args: tuple, kwargs: dict) -> torch.Tensor:
        """The latent, shape (B, C, ...)."""
        return args[0] if args else kwargs[self._sample]

    def timestep(self, args: tuple, kwargs: dict) -> torch.Tensor | float | int | None:
        """The timestep; None where it is missing."""
        return args[1] if len(args) > 1 else kwargs.get(self._timestep)

    def context(self, args: tuple, kwargs: dict) -> tuple[torch.Tensor, ...]:
        """What tells its conditions from others.

        Of a diffusers U-Net what it attends to, labels, added embeddings (a ControlNet's residuals are others at each
        step); else every other tensor.
        """
        if self._is_diffusers:
            found = [args[2] if len(args) > 2 else kwargs.get("encoder_hidden_states")]
            found += [args[3] if len(args) > 3 else kwargs.get("class_labels")]
            found += (kwargs.get("added_cond_kwargs") or {}).values()
        else:
            named = [value for name, value in kwargs.items() if name not in (self._sample, self._timestep)]
            found = [*args[2:], *named]
        return tuple(one for one in found if isinstance(one, torch.Tensor))

    def with_timestep_on_device(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """The same call with the timestep as a tensor beside the latent.

        A number would be compiled or recorded as a constant, and a CUDA graph cannot fetch a tensor from elsewhere.
        """
        sample, timestep = self.sample(args, kwargs), self.timestep(args, kwargs)
        if isinstance(timestep, torch.Tensor):
            timestep = timestep.to(sample.device, non_blocking=True)
        else:  # filled on the device, for which nothing waits
            precision = torch.float64 if isinstance(timestep, float) else torch.int64  # as diffusers does
            timestep = torch.full((), timestep, dtype=precision, device=sample.device)
        if len(args) > 1:
            return (args[0], timestep, *args[2:]), kwargs
        return args, {**kwargs, self._timestep: timestep}
