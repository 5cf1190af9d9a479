"""A page that shows what a timing job measured."""

import statistics

import pandas as pd

from deepcache.cost.speed_up import speed_up
from deepcache.methods.method import Method
from deepcache.report.pages import plain

BAR = 3  # blocks for each time faster


def timing_page(name: str, timed: dict) -> str:
    """What each variant took, as Markdown, in the order of the models and of what they took.

    Args:
        name: of the job.
        timed: its JSON file: for each variant, model/sampler/method, `seconds` of every repetition and `throughput`.
    """
    rows = [_row(variant, one, timed["variants"]) for variant, one in timed["variants"].items()]
    table = pd.DataFrame(rows).sort_values(["model", "sampler", "median_s"], ascending=[True, True, False])
    text = (
        f"{timed['batch_size']} images at a time on {plain(timed['device'])}, CPU threads: {timed['threads']}, "
        f"passes: {timed['execution']}; all variants in turn, {timed['repeats']} times, no other job on the machine; "
        f"commit {timed['commit']}. `faster`: than the same model and sampler without caching, the median over the "
        "repetitions. `spread`: slowest minus fastest, over the median."
    )
    numbers = table.select_dtypes("number")
    cells = table.assign(**{name: [f"{one:.3g}" for one in numbers[name]] for name in numbers}).replace("nan", "")
    cells = cells.to_markdown(index=False, disable_numparse=True)
    return f"# Times of {name}\n\n{text}\n\n{cells}\n"


def _row(variant: str, one: dict, timed: dict) -> dict:
    model, sampler, method = variant.split("/")
    row = {
        "model": model,
        "sampler": sampler,
        "method": method,
        "median_s": statistics.median(one["seconds"]),
        "spread": one["spread"],
        "images_per_s": one["throughput"],
    }
    uncached = f"{model}/{sampler}/{Method().slug}"
    if uncached not in timed:
        return {**row, "faster": None, "": ""}
    faster = speed_up(timed[uncached]["seconds"], one["seconds"])
    return {**row, "faster": faster, "": "█" * round(BAR * faster)}
