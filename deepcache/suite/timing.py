"""Which timing job times what: models with the same weights are timed once, for all tables that show their times.

Times of two rows can only be compared where one job took them in turn. So tables that share a model share a job.
"""

from deepcache.runs.run import Run


def timed_as(config: dict) -> dict[str, str]:
    """For each model the first one with the same checkpoint, precision and negative prompt, which takes as long."""
    first: dict[tuple, str] = {}
    return {
        name: first.setdefault(tuple(map(model.get, ("checkpoint", "precision", "negative_prompt"))), name)
        for name, model in config["models"].items()
    }


def timing_groups(variants: dict[str, list[str]]) -> dict[str, list[str]]:
    """Tables that are timed together, those that share a model: group's name, its first model -> tables.

    Args:
        variants: table -> `model/sampler/method` of what it times.
    """
    groups: list[tuple[dict[str, None], list[str]]] = []  # models in order, tables
    for table, timed in variants.items():
        models = dict.fromkeys(variant.split("/")[0] for variant in timed)
        if not models:
            continue
        joined = [group for group in groups if group[0].keys() & models.keys()]
        groups = [group for group in groups if group not in joined]
        for found, _ in reversed(joined):
            models = {**found, **models}
        groups.append((models, [*(name for _, tables in joined for name in tables), table]))
    return {next(iter(models)): tables for models, tables in groups}


def timed_variant(layout: dict, run: Run) -> str:
    """A run as `model/sampler/method`, by the name under which the layout's timing job times it."""
    model, sampler, method = run.path.parts[:3]
    return f"{layout['timing']['models'].get(model, model)}/{sampler}/{method}"
