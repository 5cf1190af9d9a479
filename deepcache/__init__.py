"""DeepCache: training-free acceleration of diffusion U-Nets by feature caching (arXiv 2312.00858).

The public names are imported when they are first used: importing torch alone takes seconds. What a version promises of
them stands in docs/use.md.
"""

import importlib

_HOMES = {
    "DeepCache": "deepcache.caching.engine",
    "DeepCacheError": "deepcache.errors",
    "ExportedUNet": "deepcache.export.exported_unet",
    "Forecast": "deepcache.beyond.caching.forecast",
    "Hold": "deepcache.caching.reuse",
    "Reuse": "deepcache.caching.reuse",
    "UNetLayers": "deepcache.caching.layers",
    "Zeros": "deepcache.caching.reuse",
    "check": "deepcache.caching.check",
    "compute_macs": "deepcache.cost.macs",
    "count_ops_and_params": "deepcache.cost.macs",
    "nonuniform": "deepcache.caching.schedules",
    "Plan": "deepcache.caching.plan",
    "num_branches": "deepcache.caching.branches",
    "register_unet": "deepcache.caching.layers",
    "tune": "deepcache.beyond.tuning.pipelines",
    "uniform": "deepcache.caching.schedules",
}
__all__ = sorted(_HOMES)
_DISTRIBUTION = "deepcache-reproduction"


def __getattr__(name: str):
    if name == "__version__":
        value = _installed_version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'deepcache' has no attribute {name!r}")
    globals()[name] = value
    return value


def _installed_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError as error:
        raise AttributeError(f"deepcache has no __version__: {_DISTRIBUTION} is not installed") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
