"""DeepCache: training-free acceleration of diffusion U-Nets by feature caching (arXiv 2312.00858).

The public names are imported when they are first used: importing torch alone takes seconds.
"""

import importlib

_HOMES = {
    "DeepCache": "deepcache.caching.engine",
    "DeepCacheError": "deepcache.errors",
    "Forecast": "deepcache.beyond.caching.forecast",
    "Hold": "deepcache.caching.reuse",
    "Reuse": "deepcache.caching.reuse",
    "Zeros": "deepcache.caching.reuse",
    "compute_macs": "deepcache.cost.macs",
    "count_ops_and_params": "deepcache.cost.macs",
    "nonuniform": "deepcache.caching.schedules",
    "num_branches": "deepcache.caching.branches",
    "uniform": "deepcache.caching.schedules",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'deepcache' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
