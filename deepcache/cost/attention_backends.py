"""Which of torch's implementations of attention is the fastest, at one place of a U-Net."""

from collections.abc import Callable
from functools import partial

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from deepcache.cost.timing import measure
from deepcache.errors import reason

BACKENDS = {
    "default": None,  # torch's own choice
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
CALLS = 20  # in a timed run: one call is too short for a clock


def time_backends(
    shape: tuple[int, int, int, int], keys: int, dtype: torch.dtype, device: torch.device, repeats: int
) -> list[dict]:
    """Time each backend on the same random queries, keys and values, interleaved.

    Args:
        shape: of the queries: images (twice as many where there is guidance), heads, tokens, channels of a head.
        keys: number of keys and values: the tokens where latents attend to themselves, the prompt's elsewhere.
        dtype: of all three.
        device: where they lie.
        repeats: timed runs.

    Returns:
        For each of BACKENDS `backend`, `seconds` of a call (median), `error` (largest difference to double precision,
        relative to its largest value) and `missing`: why there is no such backend here, in which case the others are
        None.
    """
    generator = torch.Generator().manual_seed(0)
    images, heads, tokens, channels = shape
    query, key, value = (
        torch.randn(images, heads, count, channels, generator=generator).to(device, dtype)
        for count in (tokens, keys, keys)
    )
    exact = scaled_dot_product_attention(query[:1].double(), key[:1].double(), value[:1].double())
    errors, missing = {}, {}
    for name in BACKENDS:
        try:
            found = _call(name, query, key, value)[:1].double()
        except RuntimeError as error:
            if BACKENDS[name] is None:
                raise
            missing[name] = reason(error)
            continue
        errors[name] = ((found - exact).abs().max() / exact.abs().max()).item()
    runs = {name: partial(_repeat, partial(_call, name, query, key, value)) for name in errors}
    seconds = {name: one.median / CALLS for name, one in measure(runs, repeats, device).items()}
    return [
        {"backend": name, "seconds": seconds.get(name), "error": errors.get(name), "missing": missing.get(name)}
        for name in BACKENDS
    ]


def _call(backend: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    if BACKENDS[backend] is None:
        return scaled_dot_product_attention(query, key, value)
    with sdpa_kernel(BACKENDS[backend]):
        return scaled_dot_product_attention(query, key, value)


def _repeat(call: Callable[[], object]) -> None:
    for _ in range(CALLS):
        call()
