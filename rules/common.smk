# The checked config, paths, and small functions that several rule files use; those of one topic are in common/.
import json
import math
import shlex

from deepcache.decimals import INTEGER
from deepcache.errors import DeepCacheError
from deepcache.methods.method import Method
from deepcache.sampler import Sampler
from deepcache.suite.config import validate
from deepcache.suite.reading import complete, read_config
from deepcache.suite.layout import diversity_runs, layout_runs, table_layouts
from deepcache.suite.sources import check_sources
from deepcache.suite.timing import timed_as

# Paths of the project are relative where it is the folder of the run, so that both can move together.
AT_HOME = Path.cwd() == ROOT


def in_project(path):
    """A file of the project, as this run names it."""
    return str(path) if AT_HOME else str(ROOT / path)


def given(path):
    """A path in the config: from the folder of the run, or the project's own where there is no such thing."""
    made = str(path).startswith("results/")
    return str(path) if made or Path(path).exists() else in_project(path)


PUBLISHED = in_project("config/published")

try:
    for file in workflow.configfiles:  # Snakemake takes of a key that is there twice the last
        read_config(file)
    completed = dict(complete(config, ROOT))
    config.clear()
    config.update(completed)
    validate(config, ROOT / "config/schema.yaml", PUBLISHED)
    check_sources(config, ROOT)
except DeepCacheError as error:
    print(error, file=sys.stderr)
    sys.exit(1)

RESULTS = f"results/{config['suite']}"
SUITE = f"{RESULTS}/suite.json"
RUN = f"{RESULTS}/{{model}}/{{sampler}}/{{method}}/seed-{{seed}}"
# Checkpoints that this workflow makes itself.
MADE = [name for name, checkpoint in config["checkpoints"].items() if checkpoint["source"] in ("train", "random")]
LAYOUTS = table_layouts(config)
# What targets latency, beyond and budget measure; nothing where a suite has none.
LATENCY = config.get("latency", {"models": {}, "threads": 1})
BEYOND = config.get("beyond", {"models": {}, "intervals": [], "seeds": [], "goals": {}})
BUDGET = config.get("budget", {"models": {}, "speeds": [], "few_steps": [], "seeds": []})
# Models that differ in their prompts alone share their plans.
CALIBRATED_AS = timed_as(config)


wildcard_constraints:
    checkpoint="|".join(config["checkpoints"]),
    dataset="|".join(config["datasets"]),
    reference="|".join(config["references"]),
    model="|".join(config["models"]),
    sampler=Sampler.PATTERN,
    method=Method.pattern(),
    seed=INTEGER,
    shard="[0-9]{5}",
    branch=INTEGER,
    interval="[1-9][0-9]*",
    architecture="|".join(LATENCY["models"]) or "$^",
    table="|".join(config["tables"]),
    search="[a-z][a-z0-9_]*-[0-9]+",
    images="[1-9][0-9]*",


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


def extractor_of(wildcards):
    """Whose features a model's samples are measured by."""
    return config["references"][reference_of(wildcards.model)]["extractor"]


def precision_of(model):
    return config["models"][model].get("precision", "float32")


def negative_prompts_of(models):
    """Of these models, `model=text` of those that have a negative prompt."""
    found = {model: config["models"][model].get("negative_prompt") for model in models}
    return [f"{model}={text}" for model, text in found.items() if text is not None]


def plan_file(model, sampler, method):
    """The plan of a chosen schedule: the one that ships, if it does; none where the method needs none."""
    if not Method.parse(method).takes_plan:
        return []
    name = f"{CALIBRATED_AS[model]}/{sampler}/{method}.json"
    shipped = config["calibration"].get("plans")
    if shipped and Path(given(f"{shipped}/{name}")).is_file():
        return given(f"{shipped}/{name}")
    return f"{RESULTS}/plans/{name}"


def shard_paths(run, model, images=None):
    """The shards of a run; those that hold its first images, if told how many."""
    settings = config["models"][model]
    shards = math.ceil((images or settings["samples"]) / settings["shard_size"])
    return [f"{run}/shards/{i:05d}.npz" for i in range(shards)]


def branches_of(model):
    """The branches at which the suite cuts a model."""
    runs = [run for layout in LAYOUTS.values() for run in layout_runs(layout) if run.model == model]
    swept = BEYOND["models"].get(model, {}).get("branches", [])
    return sorted({*(run.method.branch for run in runs if run.method.caches), *swept})


include: "common/device.smk"
include: "common/jobs.smk"
include: "common/options.smk"
include: "common/entries.smk"
include: "common/timing.smk"
include: "common/searches.smk"
include: "common/tables.smk"
include: "common/samples.smk"
include: "common/pictures.smk"
include: "common/report.smk"
include: "common/priorities.smk"
include: "common/recorded.smk"
include: "common/starting.smk"
include: "beyond/common.smk"
