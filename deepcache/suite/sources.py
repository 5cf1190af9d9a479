"""What a config's checkpoints and datasets say of themselves before they are here: found out before any job runs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.package_weights import package_folder
from deepcache.runs.families import (
    ARCHITECTURES,
    CONVERTED,
    IMAGE_TO_VIDEO,
    MEASURING,
    PIPELINES,
    RECIPES,
    TEXT_TO_IMAGE,
    Family,
)
from deepcache.sampler import Sampler
from deepcache.suite.config import prompt_kind
from deepcache.suite.layout import diversity_runs, layout_runs, table_layouts
from deepcache.suite.reading import located

# By the kind of a model's prompts: what it must be, and what such a model does with them.
PROMPTED = {None: None, "texts": TEXT_TO_IMAGE, "pictures": IMAGE_TO_VIDEO}
USES = {"texts": "paints from", "pictures": "starts from"}
# Ends of the names of what signs an address, or says who may read.
SECRET = re.compile("(token|sig|signature|key|password|secret|credential|auth)$", re.IGNORECASE)


def check_sources(config: dict, root: str | Path) -> None:
    """Check that checkpoints can be made or opened, and that each model has every sampler that its runs name.

    A checkpoint that is downloaded without an `architecture` is not known before: its job says what is wrong.

    Args:
        config: complete and valid.
        root: the project's folder.

    Raises:
        DeepCacheError: names the first key that is wrong and says what it may be.
    """
    for key, problem in _problems(config, root):
        raise DeepCacheError(f"config: {key}: {problem}")


def _problems(config: dict, root: str | Path) -> Iterator[tuple[str, str]]:
    for name, entry in config["checkpoints"].items():
        if entry["source"] == "train" and name not in RECIPES:
            yield f"checkpoints.{name}.source", f"nothing trains {name}; there are recipes for {', '.join(RECIPES)}"
        if set("{}") & set(entry.get("folder", "")):
            yield f"checkpoints.{name}.folder", "holds braces, which Snakemake takes for wildcards: rename it"
        if entry["source"] == "package":
            try:
                package_folder(entry["package"])
            except DeepCacheError as error:
                yield f"checkpoints.{name}.package", str(error)
        known = (*ARCHITECTURES, *MEASURING)
        if entry["source"] == "random" and entry["architecture"] not in known:
            yield (
                f"checkpoints.{name}.architecture",
                f"{entry['architecture']} is none of {', '.join(known)}",
            )
    for kind in ("checkpoints", "datasets"):
        for name, entry in config[kind].items():
            if problem := _secret(entry.get("url", "")):
                yield f"{kind}.{name}.url", problem
    families = {}
    for name, model in config["models"].items():
        kind = prompt_kind(config, model)
        families[name] = PROMPTED[kind]
        found = _family(model["checkpoint"], located(config["checkpoints"][model["checkpoint"]], root))
        if isinstance(found, str):
            yield f"models.{name}.checkpoint", found
        elif found is not None:
            if kind != found.prompts:
                yield f"models.{name}.prompts", _wrong_prompts(found, kind, model.get("prompts"))
            families[name] = found
    yield from _sampler_problems(config, families)


def _wrong_prompts(family: Family, kind: str | None, dataset: str | None) -> str:
    """What is wrong with prompts of another kind than a family's."""
    if family.prompts is None:
        return f"{family.words} takes none: leave it out"
    use = f"{family.words} {USES[family.prompts]} {family.prompts}"
    return f"missing, but {use}" if kind is None else f"{dataset} holds {kind}, but {use}: name a dataset of these"


def _secret(url: str) -> str | None:
    """What is wrong with an address that holds what opens a door: commands, and so addresses, stand in logs."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return f"{error}: correct the address"
    if "@" in parts.netloc:
        return "holds a user's name, which logs would show: put it with the password into ~/.netrc"
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if SECRET.search(name):
            return f"holds {name!r}, which logs would show: download the file yourself, and use source: local"
    return None


def _family(name: str, entry: dict) -> Family | str | None:
    """The family of a checkpoint's models; a sentence where it is none; None where that is not known yet."""
    index = Path(entry.get("folder", ""), "model_index.json")
    if entry["source"] in ("shipped", "local") and index.is_file():
        try:
            kind = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
        except (*UNREADABLE, TypeError):
            return f"{index} cannot be read as a diffusers pipeline"
        if not isinstance(kind, str) or kind not in PIPELINES:
            return f"{index}: {kind} is not among the known pipelines ({', '.join(PIPELINES)})"
        return PIPELINES[kind]
    known = RECIPES.get(name) if entry["source"] == "train" else ARCHITECTURES.get(entry.get("architecture"))
    if (entry["source"] == "train" and known is None) or entry.get("architecture") in MEASURING:
        return f"{name} measures images and makes none"
    return known or CONVERTED.get(entry.get("convert"))


def _sampler_problems(config: dict, families: dict[str, Family | None]) -> Iterator[tuple[str, str]]:
    for name, model in config["models"].items():
        yield from _checked(f"models.{name}.sampler", families[name], Sampler.parse(model["sampler"]))
    for name, layout in table_layouts(config).items():
        for run in layout_runs(layout):
            yield from _checked(f"tables.{name}", families[run.model], run.sampler)
    for run in diversity_runs(config):
        yield from _checked("diversity", families[run.model], run.sampler)


def _checked(key: str, family: Family | None, sampler: Sampler) -> Iterator[tuple[str, str]]:
    try:
        if family is not None:
            family.check(sampler)
    except DeepCacheError as error:
        yield key, str(error)
