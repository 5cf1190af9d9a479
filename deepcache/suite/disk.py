"""What samples take on the disk where shards are temporary: what stays of them, and what comes and goes."""

from collections.abc import Callable, Iterable, Mapping

from deepcache.runs.run import Run
from deepcache.suite.layout import FROM_METRICS, layout_runs, uncached_runs

LEAST_SHOWN = 16
FEATURE_BYTES = 4  # float32


def shown_images(config: dict, model: str) -> int:
    """How many of a run's first images are kept for pictures.

    At least 16 where there are as many: so that a picture may grow without sampling anew where samples are not kept.
    """
    pictures = [*(grid["images"] for grid in config["sample_grids"].values()), config["diversity"]["prompts"]]
    real = config.get("real_pictures", {"models": []})
    if model in real["models"]:
        pictures.append(real["images"])
    return min(max(LEAST_SHOWN, *pictures), config["models"][model]["samples"])


def feature_bytes(
    config: dict, layouts: Iterable[dict], sampled: Mapping[Run, int], feature_width: Callable[[str], int]
) -> int:
    """The pooled features of runs whose FID is measured, which stay in any case.

    Args:
        config: a checked config.
        layouts: of the tables, see deepcache.suite.layout.table_layout.
        sampled: how many images of each run are sampled.
        feature_width: how many numbers describe an image, by the extractor's kind.
    """
    measured = {run for layout in layouts for run in layout_runs(layout, FROM_METRICS)}
    total = 0
    for run in measured:
        model = config["models"][run.model]
        if sampled[run] == model["samples"]:
            width = feature_width(config["references"][model["reference"]]["extractor"])
            total += sampled[run] * width * FEATURE_BYTES
    return total


def kept_bytes(
    config: dict, layouts: Iterable[dict], sampled: Mapping[Run, int], image_bytes: Callable[[Run], int]
) -> int:
    """Samples that stay: the first images of each run, and all of those that others are compared with image by image.

    Args:
        config: a checked config.
        layouts: of the tables, see deepcache.suite.layout.table_layout.
        sampled: how many images of each run are sampled.
        image_bytes: of one sample of a run.
    """
    compared_with = {run for layout in layouts for run in uncached_runs(layout)}
    first = sum(shown_images(config, run.model) * image_bytes(run) for run in sampled)
    return first + sum(images * image_bytes(run) for run, images in sampled.items() if run in compared_with)


def in_flight_bytes(
    sampled: Mapping[Run, int],
    image_bytes: Callable[[Run], int],
    searches: Iterable[Mapping[Run, int]] = (),
    by_seed: Iterable[Run] = (),
) -> int:
    """The most that temporary shards take at a time, where one job runs at a time.

    Runs are sampled one after the other, and a run's shards go when they have been read. What is read together lies
    there together: all that a search samples, and every seed of a method whose diversity is measured.

    Args:
        sampled: how many images of each run are sampled.
        image_bytes: of one sample of a run.
        searches: how many images of each candidate a search by halving samples.
        by_seed: the runs of which the diversity over seeds is measured.
    """
    seeds: dict[object, dict[Run, int]] = {}
    for run in by_seed:
        seeds.setdefault(run.path.parent, {})[run] = sampled[run]
    units = [*({run: images} for run, images in sampled.items()), *searches, *seeds.values()]
    return max(sum(images * image_bytes(run) for run, images in unit.items()) for unit in units)
