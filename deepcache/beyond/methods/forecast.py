"""A polynomial through the features of the last full steps instead of the last one."""

from dataclasses import dataclass

from deepcache.methods.parts import parameter
from deepcache.methods.reuse import NamedReuse


@dataclass(frozen=True)
class ForecastFeature(NamedReuse):
    """See deepcache.beyond.caching.forecast.

    Attributes:
        order: degree of the polynomial.
    """

    name = "forecast"

    order: int = parameter("", "degree of the polynomial", pattern="[1-9]", minimum=1, maximum=9)

    @property
    def label(self) -> str:  # noqa: D102
        return f"forecast of order {self.order}"

    def make(self):  # noqa: D102
        from deepcache.beyond.caching.forecast import Forecast

        return Forecast(self.order)
