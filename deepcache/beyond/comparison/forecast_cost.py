"""What a forecast costs beside the shallow pass that it serves: time and bytes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from deepcache.beyond.caching.forecast import Forecast
from deepcache.caching.branches import find_cut
from deepcache.caching.layer_outputs import output_watched
from deepcache.caching.shallow import shallow_view
from deepcache.cost.timing import Timing, measure


@dataclass(frozen=True)
class ForecastCost:
    """Of one architecture, branch and batch.

    Attributes:
        shape: of the feature.
        bytes: kept by a forecast of each order, order -> bytes; order 0 holds.
        shallow: time of a shallow pass.
        forecasts: time of a forecast of each order.
    """

    shape: tuple[int, ...]
    bytes: dict[int, int]
    shallow: Timing
    forecasts: dict[int, Timing]

    def share(self, order: int) -> float:
        """Median time of a forecast over that of a shallow pass."""
        return self.forecasts[order].median / self.shallow.median


def measure_forecast_cost(
    unet: nn.Module,
    branch: int,
    make_inputs: Callable[[str | torch.device], dict],
    device: torch.device,
    repeats: int,
    orders: tuple[int, ...] = (1, 2),
    on_run: Callable[[str], None] = lambda name: None,
) -> ForecastCost:
    """Time forecasts and the shallow pass in turn, with random weights; only the layers of the pass take memory.

    Args:
        unet: on the device "meta"; it is used up.
        branch: where it is cut, 0-based.
        make_inputs: the U-Net's keyword arguments on a device, see `dummy_inputs`.
        device: where the times are measured.
        repeats: timed repetitions of each, after a warm-up.
        orders: of the forecasts.
        on_run: called after each run.
    """
    cut, features = find_cut(unet, branch), []
    with output_watched(cut.feeder, features.append), torch.no_grad():
        unet(**make_inputs("meta"))
    shape = tuple(features[0].shape)
    view = shallow_view(unet, cut).to_empty(device=device)
    for parameter in view.parameters():
        nn.init.normal_(parameter, std=0.02)  # what stands in empty memory may be slow to compute with
    inputs = make_inputs(device)
    view.deepcache_cached.feature = torch.randn(shape, device=device)
    reuses = {order: Forecast(order) for order in (0, *orders)}
    for order, reuse in reuses.items():
        for step in range(order + 1):
            reuse.observe(step, torch.randn(shape, device=device))

    def run(call: Callable[[], object]) -> Callable[[], None]:
        def timed() -> None:
            with torch.no_grad():
                call()

        return timed

    calls = {"shallow": run(lambda: view(**inputs))}
    calls |= {str(order): run(lambda order=order: reuses[order].predict(order + 2)) for order in orders}
    found = measure(calls, repeats, device, on_run)
    kept = {order: reuse.nbytes for order, reuse in reuses.items()}
    return ForecastCost(shape, kept, found["shallow"], {order: found[str(order)] for order in orders})
