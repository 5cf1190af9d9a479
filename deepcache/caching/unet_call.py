"""The arguments of a call of a diffusers U-Net, by position or by name."""

import torch


def sample_of(args: tuple, kwargs: dict) -> torch.Tensor:
    """The latent, shape (B, C, H, W)."""
    return args[0] if args else kwargs["sample"]


def timestep_of(args: tuple, kwargs: dict) -> torch.Tensor | float | int | None:
    """The timestep; None where it is missing."""
    return args[1] if len(args) > 1 else kwargs.get("timestep")


def context_of(args: tuple, kwargs: dict) -> tuple[torch.Tensor, ...]:
    """What tells its conditions from others: what it attends to, labels, added embeddings."""
    found = [args[2] if len(args) > 2 else kwargs.get("encoder_hidden_states")]
    found += [args[3] if len(args) > 3 else kwargs.get("class_labels")]
    found += (kwargs.get("added_cond_kwargs") or {}).values()
    return tuple(one for one in found if isinstance(one, torch.Tensor))


def with_timestep_on_device(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The same call with the timestep as a tensor beside the latent.

    A number would be compiled or recorded as a constant, and a CUDA graph cannot fetch a tensor from elsewhere.
    """
    sample = sample_of(args, kwargs)
    timestep = args[1] if len(args) > 1 else kwargs["timestep"]
    if isinstance(timestep, torch.Tensor):
        timestep = timestep.to(sample.device, non_blocking=True)
    else:  # filled on the device, for which nothing waits
        precision = torch.float64 if isinstance(timestep, float) else torch.int64  # as diffusers does
        timestep = torch.full((), timestep, dtype=precision, device=sample.device)
    if len(args) > 1:
        return (args[0], timestep, *args[2:]), kwargs
    return args, {**kwargs, "timestep": timestep}
