"""What is wrong with a table of a config, which its schema cannot say, as (key, sentence)."""

from collections.abc import Iterator
from pathlib import Path

from deepcache.errors import DeepCacheError, KeyedError
from deepcache.sampler import Sampler
from deepcache.suite.layout import (
    FROM_CLIP,
    FROM_MEMORY,
    FROM_METRICS,
    FROM_PAIRED,
    resolve_method,
    resolve_runs,
    variant,
)
from deepcache.suite.search import candidates

ADM, FROM_ADM = "inception-adm", ("precision_adm", "recall_adm")


def table_problems(config: dict, key: str, table: dict, published: Path) -> Iterator[tuple[str, str]]:
    """Of a whole table: its rows, their runs, what they are compared with."""
    yield from known_name(f"{key}.model", table["model"], config["models"])
    if "published" in table and not (published / table["published"]["file"]).is_file():
        yield f"{key}.published.file", f"no {table['published']['file']} in {published}"
    runs = {name for row in table["rows"] for name in row.get("runs", {})}
    searches = [row["search"] for row in table["rows"] if "search" in row]
    if not runs and not searches:
        yield f"{key}.rows", "no row has runs"
    names = [column if isinstance(column, str) else column["name"] for column in table["columns"]]
    for i, column in enumerate(table["columns"]):
        if isinstance(column, dict) and "run" in column and column["run"] not in runs:
            yield f"{key}.columns[{i}].run", f"no row has a run named {column['run']}"
        if isinstance(column, dict) and "best" in column and not searches:
            yield f"{key}.columns[{i}].best", "no row has a search"
        for name in column["minus"] if isinstance(column, dict) and "minus" in column else ():
            if name not in names[:i]:
                yield f"{key}.columns[{i}].minus", f"no earlier column is named {name}"
    for i, row in enumerate(table["rows"]):
        for column in table.get("published", {}).get("key", ()):
            if column not in row["labels"]:
                yield f"{key}.rows[{i}].labels", f"lacks {column}, by which the row is found among the published ones"
        for name, run in row.get("runs", {}).items():
            yield from run_problems(config, f"{key}.rows[{i}].runs.{name}", table, run)
        for one in candidates(row["search"]) if "search" in row else ():
            yield from run_problems(config, f"{key}.rows[{i}].search", table, one)
    yield from _comparison_problems(config, key, table)


def _comparison_problems(config: dict, key: str, table: dict) -> Iterator[tuple[str, str]]:
    compared: dict[str, str] = {}
    for i, row in enumerate(table["rows"]):
        for name, run in row.get("runs", {}).items():
            mine = resolve_runs(config, run, table)[0]
            other = resolve_runs(config, run["against"], table)[0] if "against" in run else mine.uncached
            known = compared.setdefault(variant(mine), variant(other))
            if known != variant(other):
                where = f"{key}.rows[{i}].runs.{name}.against"
                yield where, f"{variant(mine)} is measured against {known} in another row: a table can do one of them"


def run_problems(config: dict, key: str, table: dict, run: dict) -> Iterator[tuple[str, str]]:
    """Of one run, as a row of the table names it."""
    name = run.get("model", table["model"])
    yield from known_name(f"{key}.model", name, config["models"])
    model = config["models"][name]
    columns = (column if isinstance(column, dict) else {"value": column} for column in table["columns"])
    measured = {column.get("value") for column in columns}
    measured |= {row["search"].get("by", "fid") for row in table["rows"] if "search" in row}
    for needed, values in (("reference", FROM_METRICS), ("clip", FROM_CLIP), ("perceptual", FROM_PAIRED)):
        if needed not in model and measured & set(values):
            yield f"models.{name}.{needed}", f"missing, but {key.split('.rows')[0]} measures it"
    extractor = config["references"].get(model.get("reference"), {}).get("extractor", ADM)
    if extractor != ADM and measured & set(FROM_ADM):
        yield f"{key.split('.rows')[0]}.columns", f"{', '.join(FROM_ADM)} need a reference whose extractor is {ADM}"
    for name in ("sampler", "reuse"):
        if name in run and measured & set(FROM_MEMORY):
            yield f"{key}.{name}", "memory is measured with the model's sampler, and with the feature held as it is"
    sampler = run.get("sampler", model["sampler"])
    yield from attempt(f"{key}.sampler", lambda: Sampler.parse(sampler))
    yield from guidance_problems(f"{key}.sampler", sampler, model)
    steps, calls = Sampler.parse(sampler).steps, Sampler.parse(sampler).schedule_length("prompts" in model)
    if run.get("interval", 1) > steps:
        yield f"{key}.interval", f"{run['interval']} is above the {steps} steps of {sampler}"
    branch = run.get("branch", table.get("branch", 0))
    if branch >= model["branches"]:
        where = f"{key}.branch" if "branch" in run else f"{key.split('.rows')[0]}.branch"
        yield where, f"{branch} is not among the model's branches, 0 to {model['branches'] - 1}"
    yield from attempt(key, lambda: resolve_method(run, table).num_full(calls))
    if "against" in run:
        yield from run_problems(config, f"{key}.against", table, run["against"])


def guidance_problems(key: str, sampler: str, model: dict) -> Iterator[tuple[str, str]]:
    """Of a sampler without guidance, where the model needs one."""
    if "negative_prompt" in model and Sampler.parse(sampler).guidance_scale <= 1:
        yield key, f"{sampler} is without guidance, which the model's negative_prompt needs: leave that out"


def known_name(key: str, name: str, known: dict) -> Iterator[tuple[str, str]]:
    """Unless a name is among those that the config defines."""
    if name not in known:
        yield key, f"{name} is not defined; known: {', '.join(known)}"


def attempt(key: str, call) -> Iterator[tuple[str, str]]:
    """What a call raises, which takes no arguments."""
    try:
        call()
    except KeyedError as error:
        yield f"{key}.{error.key}", error.problem
    except DeepCacheError as error:
        yield key, str(error)
