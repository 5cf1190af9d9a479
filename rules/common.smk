# The checked config, paths, and small functions that several rule files use; those of one topic are in common/.
import json
import math
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.results.config import extend, validate
from deepcache.results.layout import diversity_runs, layout_runs, table_layouts
from deepcache.results.runs import Method, Sampler
from deepcache.results.timing import timed_as

PUBLISHED = "config/published"

try:
    extended = dict(extend(config, workflow.basedir))
    config.clear()
    config.update(extended)
    validate(config, workflow.source_path("../config/schema.yaml"), Path(workflow.basedir) / PUBLISHED)
except DeepCacheError as error:
    print(error, file=sys.stderr)
    sys.exit(1)

RESULTS = f"results/{config['suite']}"
RUN = f"{RESULTS}/{{model}}/{{sampler}}/{{method}}/seed-{{seed}}"
# Checkpoints that this workflow makes itself.
MADE = [name for name, checkpoint in config["checkpoints"].items() if checkpoint["source"] in ("train", "random")]
LAYOUTS = table_layouts(config)
# What target beyond compares; nothing where a suite has none.
NO_SPEED = {"models": {}, "intervals": [], "modes": [], "precision": "", "channels_last": False}
SPEED = config.get("speed", {**NO_SPEED, "steps": 0, "repeats": 0, "threads": 1})
BEYOND = config.get("beyond", {"models": {}, "intervals": [], "seeds": [], "goals": {}})
# Models that differ in their prompts alone share their plans.
CALIBRATED_AS = timed_as(config)


wildcard_constraints:
    checkpoint="|".join(config["checkpoints"]),
    dataset="|".join(config["datasets"]),
    reference="|".join(config["references"]),
    model="|".join(config["models"]),
    sampler=Sampler.PATTERN,
    method=Method.PATTERN,
    seed="[0-9]+",
    shard="[0-9]{5}",
    branch="[0-9]+",
    interval="[1-9][0-9]*",
    architecture="|".join(SPEED["models"]) or "$^",
    table="|".join(config["tables"]),


def code(script, *packages):
    """A script and the modules it stands on: editing them redoes what they made."""
    places = [Path(workflow.basedir, "deepcache", package) for package in packages]
    modules = [path for place in places for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    return [f"workflow/scripts/{script}.py", *(str(path.relative_to(workflow.basedir)) for path in modules)]


def manifest(checkpoint):
    """The manifest through which a checkpoint is opened."""
    return f"{RESULTS}/checkpoints/{checkpoint}.json"


def model_manifest(wildcards):
    return manifest(config["models"][wildcards.model]["checkpoint"])


def dataset_manifest(dataset):
    """The manifest through which a dataset is opened."""
    return f"{RESULTS}/datasets/{dataset}.json"


def prompts_manifest(wildcards):
    """The manifest of a model's prompts; none where it takes none."""
    prompts = config["models"][wildcards.model].get("prompts")
    return [] if prompts is None else dataset_manifest(prompts)


def reference_of(model):
    return config["models"][model]["reference"]


def precision_of(model):
    return config["models"][model].get("precision", "float32")


def plan_file(model, sampler, method):
    """The plan of a chosen schedule: the one that ships, if it does; none where the method needs none."""
    if Method.parse(method).schedule != "chosen":
        return []
    name = f"{CALIBRATED_AS[model]}/{sampler}/{method}.json"
    shipped = config["calibration"].get("plans")
    if shipped and Path(workflow.basedir, shipped, name).is_file():
        return f"{shipped}/{name}"
    return f"{RESULTS}/plans/{name}"


def shard_paths(run, model):
    settings = config["models"][model]
    shards = math.ceil(settings["samples"] / settings["shard_size"])
    return [f"{run}/shards/{i:05d}.npz" for i in range(shards)]


def branches_of(model):
    """The branches at which the suite cuts a model."""
    runs = [run for layout in LAYOUTS.values() for run in layout_runs(layout) if run.model == model]
    swept = config.get("beyond", {}).get("models", {}).get(model, {}).get("branches", [])
    return sorted({*(run.method.branch for run in runs if run.method.schedule != "full"), *swept})


def gpus():
    """GPUs that a job takes: none where the suite runs on the CPU."""
    return 0 if config["device"] == "cpu" else 1


include: "common/entries.smk"
include: "common/timing.smk"
include: "common/tables.smk"
include: "common/pictures.smk"
include: "common/beyond.smk"
include: "common/starting.smk"
