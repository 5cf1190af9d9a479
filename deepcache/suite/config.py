"""Checking a config before anything runs: every complaint is one line that names the key."""

import difflib
import string
from collections.abc import Iterator
from pathlib import Path

import jsonschema

from deepcache.errors import DeepCacheError, reason
from deepcache.methods.method import Method
from deepcache.sampler import Sampler
from deepcache.suite.config_tables import attempt, guidance_problems, known_name, run_problems, table_problems
from deepcache.suite.layout import resolve_method
from deepcache.suite.schema import Validator, read_schema
from deepcache.suite.timing import timed_as

IMAGES = ("digits", "emoji", "folder", "cifar10", "lmdb", "npz")
PROMPTS = ("partiprompts", "coco", "captions", "text")
MESSAGE = 600  # characters of a message, which quotes what is wrong
DEFAULT = "default"  # the rate of every checkpoint that has none of its own
SHARED = ("benchmark", "downloads", "macs")  # below results/, of all suites
RENAMED = {"plan": "estimate", "speed": "latency"}


def validate(config: dict, schema_path: str | Path, published: str | Path) -> None:
    """Check a config against its schema, and what a schema cannot say.

    Args:
        config: the merged config.
        schema_path: the JSON schema, as YAML.
        published: folder with the paper's tables as CSV.

    Raises:
        DeepCacheError: names the first key that is wrong and says what it may be.
    """
    schema = read_schema(schema_path)
    error = jsonschema.exceptions.best_match(Validator(schema).iter_errors(config))
    if error is not None:
        raise DeepCacheError(reason(_schema_message(error), MESSAGE))
    for key, problem in _problems(config, Path(published)):
        raise DeepCacheError(reason(f"config: {key}: {problem}", MESSAGE))


def prompt_kind(config: dict, model: dict, key: str = "prompts") -> str | None:
    """What a model's prompts are, or those of another key: "texts" or "pictures"; None where it has none."""
    if key not in model:
        return None
    return "texts" if config["datasets"][model[key]]["format"] in PROMPTS else "pictures"


def _schema_message(error: jsonschema.ValidationError) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        key = next(key for key in error.instance if key not in known)
        if key in RENAMED and not where:
            return f"config: {key}: this key is called {RENAMED[key]} now"
        close = difflib.get_close_matches(str(key), known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        return f"config: {f'{where}.' if where else ''}{key}: unknown key; {hint}"
    return f"config: {where or 'the whole file'}: {error.message}"


def _problems(config: dict, published: Path) -> Iterator[tuple[str, str]]:
    """What is wrong, as (key, sentence)."""
    if config["suite"] in SHARED:
        yield "suite", f"results/{config['suite']} is what all suites share: give it another name"
    for name, model in config["models"].items():
        yield from _model_problems(config, name, model)
    for name, reference in config["references"].items():
        yield from _dataset(f"references.{name}.dataset", reference["dataset"], config, IMAGES)
        yield from known_name(f"references.{name}.weights", reference["weights"], config["checkpoints"])
    for name, table in config["tables"].items():
        yield from table_problems(config, f"tables.{name}", table, published)
    for name, grid in config["sample_grids"].items():
        key = f"sample_grids.{name}"
        yield from known_name(f"{key}.table", grid["table"], config["tables"])
        if "model" in grid:
            yield from known_name(f"{key}.model", grid["model"], config["models"])
        model = grid.get("model", config["tables"][grid["table"]]["model"])
        samples = config["models"][model]["samples"]
        yield from _grid_problems(key, grid, config["tables"][grid["table"]])
        if grid["images"] > samples:
            yield f"{key}.images", f"{grid['images']} is more than the {samples} samples of a run"

    rates = config["estimate"]["tflops"]
    for name in rates if isinstance(rates, dict) else ():
        if name != DEFAULT:
            yield from known_name("estimate.tflops", name, config["checkpoints"])
    for name in config["similarity"]["layers"]:
        yield from known_name("similarity.layers", name, config["models"])
    yield from _diversity_problems(config, config["diversity"])
    yield from _real_problems(config, config.get("real_pictures"))
    yield from _beyond_problems(config, config.get("beyond", {"models": {}}))
    for name in config.get("budget", {"models": {}})["models"]:
        yield from known_name("budget.models", name, config["models"])
    for name, curves in config["curves"].items():
        if name in config["sample_grids"]:
            yield f"curves.{name}", "a picture in sample_grids has the same name"
        if name in config["tables"]:
            yield f"curves.{name}", "a table has the same name"
        for i, panel in enumerate(curves["panels"]):
            key = f"curves.{name}.panels[{i}].table"
            yield from known_name(key, panel["table"], config["tables"])
            labels = {label for row in config["tables"][panel["table"]]["rows"] for label in row["labels"]}
            for column in panel.get("where", {}):
                if column not in labels:
                    yield f"curves.{name}.panels[{i}].where", f"no row of {panel['table']} is labelled with {column}"
            columns = config["tables"][panel["table"]]["columns"]
            known = {column if isinstance(column, str) else column["name"] for column in columns}
            for key, wanted in (
                (f"curves.{name}.x.column", curves["x"]["column"]),
                *((f"curves.{name}.series[{j}].y", one["y"]) for j, one in enumerate(curves["series"])),
            ):
                if wanted not in known:
                    yield key, f"{panel['table']} has no column {wanted}; it has {', '.join(sorted(known))}"


def _model_problems(config: dict, name: str, model: dict) -> Iterator[tuple[str, str]]:
    key = f"models.{name}"
    yield from known_name(f"{key}.checkpoint", model["checkpoint"], config["checkpoints"])
    if "reference" in model:
        yield from known_name(f"{key}.reference", model["reference"], config["references"])
    for weights in ("clip", "perceptual"):
        if weights in model:
            yield from known_name(f"{key}.{weights}", model[weights], config["checkpoints"])
    for prompts in ("prompts", "calibration_prompts"):
        if prompts in model:
            yield from known_name(f"{key}.{prompts}", model[prompts], config["datasets"])
    kind = prompt_kind(config, model)
    for needs, what in (
        ("clip", "a CLIP score needs"),
        ("calibration_prompts", "they take the place of"),
        ("negative_prompt", "it goes with"),
    ):
        if needs in model and kind is None:
            yield f"{key}.{needs}", f"{what} the model's prompts"
    for needs in ("clip", "negative_prompt"):
        if needs in model and kind == "pictures":
            yield f"{key}.{needs}", f"it goes with texts, but {model['prompts']} holds pictures: leave it out"
    other = prompt_kind(config, model, "calibration_prompts")
    if other not in (None, kind):
        yield f"{key}.calibration_prompts", f"{model['calibration_prompts']} holds {other}, but the prompts are {kind}"
    first = timed_as(config)[name]
    if model.get("calibration_prompts") != config["models"][first].get("calibration_prompts"):
        yield f"{key}.calibration_prompts", f"plans are made once for a checkpoint: give it those of {first}"
    yield from attempt(f"{key}.sampler", lambda: Sampler.parse(model["sampler"]))
    yield from guidance_problems(f"{key}.sampler", model["sampler"], model)
    for seed in (config["calibration"]["seed"], config["calibration"]["seed"] + 1):
        if seed in model["seeds"]:
            yield f"{key}.seeds", f"{seed} is a seed of the calibration: what is measured needs others"
    if model.get("screened", 0) > model["samples"]:
        yield f"{key}.screened", f"{model['screened']} is more than the {model['samples']} samples of a run"


def _real_problems(config: dict, real: dict | None) -> Iterator[tuple[str, str]]:
    if real is None:
        return
    yield from _dataset("real_pictures.dataset", real["dataset"], config, ("emoji",))
    for name in real["models"]:
        yield from known_name("real_pictures.models", name, config["models"])
        model = config["models"][name]
        if "clip" not in model:
            yield "real_pictures.models", f"{name} has no clip, which scores pictures"
        elif real["images"] > model["samples"]:
            yield "real_pictures.images", f"{real['images']} is more than the {model['samples']} samples of {name}"


def _grid_problems(key: str, grid: dict, table: dict) -> Iterator[tuple[str, str]]:
    labels = [row["labels"] for row in table["rows"] if "runs" in row]
    known = {"method", *(name for one in labels for name in one)}
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(grid.get("label", "")) if name is not None]
    except ValueError as error:
        yield f"{key}.label", f"{error}: write {{method}} for a label, and a brace twice"
        return
    for name in named:
        if name not in known:
            yield f"{key}.label", f"no row of {grid['table']} is labelled with {name or 'nothing'}"
    where = grid.get("where", {})
    if not any(all(one.get(column) in values for column, values in where.items()) for one in labels):
        yield f"{key}.where", f"selects no row of {grid['table']} that has runs"


def _diversity_problems(config: dict, wanted: dict) -> Iterator[tuple[str, str]]:
    for name in wanted["models"]:
        yield from known_name("diversity.models", name, config["models"])
        model = config["models"][name]
        for needed in ("prompts", "clip", "perceptual"):
            if needed not in model:
                yield f"models.{name}.{needed}", "missing, but diversity measures the model"
        if wanted["prompts"] > model["samples"]:
            yield "diversity.prompts", f"{wanted['prompts']} is more than the {model['samples']} samples of {name}"
        table = {"model": name, "columns": [], "rows": []}  # the methods are checked as the runs of one
        for i, method in enumerate(wanted["methods"]):
            yield from run_problems(config, f"diversity.methods[{i}]", table, method)
    slugs = [resolve_method(method, {}).slug for method in wanted["methods"]]
    if Method().slug not in slugs:
        yield "diversity.methods", "none is without caching, which the others are compared with: add {interval: 1}"
    for i, slug in enumerate(slugs):
        if slug in slugs[:i]:
            yield f"diversity.methods[{i}]", f"{slug} is there twice"


def _beyond_problems(config: dict, wanted: dict) -> Iterator[tuple[str, str]]:
    for name, settings in wanted["models"].items():
        yield from known_name("beyond.models", name, config["models"])
        table = {"model": name, "columns": [], "rows": []}  # what is swept is checked as the runs of one
        for branch in settings["branches"]:
            for interval in wanted["intervals"]:
                run = {"schedule": "chosen", "interval": interval, "branch": branch}
                yield from run_problems(config, f"beyond.models.{name}", table, run)


def _dataset(key: str, name: str, config: dict, formats: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    yield from known_name(key, name, config["datasets"])
    if config["datasets"][name]["format"] not in formats:
        found = config["datasets"][name]["format"]
        yield key, f"{name} has the format {found}, here it must be one of {', '.join(formats)}"
