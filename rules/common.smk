# The checked config, paths, and small functions that several rule files use.
import json
import math
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.results.config import extend, validate
from deepcache.results.layout import (
    FROM_CLIP,
    FROM_MEMORY,
    FROM_METRICS,
    diversity_runs,
    fidelity_runs,
    layout_runs,
    paired_runs,
    table_layouts,
    timed_variants,
)
from deepcache.results.runs import Method, Run, Sampler
from deepcache.results.timing import timed_as, timed_variant

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


def from_sources(*sources):
    """The checkpoints from these sources, as a wildcard's pattern; one that matches nothing, if there are none."""
    return "|".join(name for name, one in config["checkpoints"].items() if one["source"] in sources) or "$^"


def checkpoint_folder(name):
    """Where a checkpoint lies, or is put."""
    if name in MADE:
        return f"{RESULTS}/checkpoints/{name}"
    return config["checkpoints"][name].get("folder", f"results/downloads/{name}")


def checkpoint_files(wildcards):
    """The files of a checkpoint that lies in its folder already."""
    folder = checkpoint_folder(wildcards.checkpoint)
    files = config["checkpoints"][wildcards.checkpoint].get("sha256", {})
    return [folder] if wildcards.checkpoint in MADE or not files else [f"{folder}/{file}" for file in files]


def train_options(name):
    """What the config says of a training, as options of train.py."""
    entry = config["checkpoints"][name]
    return shlex.join(["--model", name, *options_of(entry, "steps", "seed")])


def random_options(name):
    """A checkpoint's entry in the config as options of random_checkpoint.py."""
    return shlex.join(options_of(config["checkpoints"][name], "architecture", "seed", "sample_size"))


def options_of(entry, *keys):
    """Keys of an entry as a program's options of the same names."""
    pairs = [(f"--{key.replace('_', '-')}", str(entry[key])) for key in keys if key in entry]
    return [word for pair in pairs for word in pair]


def checksum_options(entry):
    digests = entry.get("sha256", {})
    return ["--sha256", *(f"{file}={digest}" for file, digest in digests.items())] if digests else []


def checkpoint_options(name):
    """A checkpoint's entry in the config as options of checkpoint.py."""
    entry = config["checkpoints"][name]
    own = {"hub": ["repository", "revision"], "url": ["url", "convert"]}.get(entry["source"], [])
    options = ["--name", name, "--folder", checkpoint_folder(name), *options_of(entry, "source", "licence", *own)]
    if entry["source"] == "hub" and "include" in entry:
        options += ["--include", *entry["include"]]
    return shlex.join(options if name in MADE else [*options, *checksum_options(entry)])


def dataset_options(name):
    """A dataset's entry in the config as options of dataset.py."""
    entry = config["datasets"][name]
    own = {
        "local": ["folder"],
        "url": ["url", "member"],
        "random": ["images", "image_size", "seed"],
    }.get(entry["source"], [])
    # Downloads serve every suite; what a suite makes up is its own.
    downloads = f"{RESULTS}/datasets" if entry["source"] == "random" else "results/downloads"
    options = ["--name", name, "--downloads", downloads]
    options += options_of(entry, "source", "format", "licence", *own)
    options += ["--unpack"] if entry["source"] == "url" and entry.get("unpack") else []
    options += checksum_options(entry) if entry["source"] in ("url", "local") else []
    return shlex.join(options)


def reference_options(name):
    """A reference's entry in the config as options of reference_statistics.py."""
    return shlex.join(options_of(config["references"][name], "extractor", "image_size", "crop", "images", "features"))


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


def timed_together(group):
    """What one latency job times for all tables of its group, uncached first."""
    layouts = [layout for layout in LAYOUTS.values() if layout["timing"].get("group") == group]
    variants = list(dict.fromkeys(variant for layout in layouts for variant in timed_variants(layout)))
    return sorted(variants, key=lambda variant: Path(variant).name != "full")


def timed_models(wildcards):
    """Models that a latency job times, in order."""
    return sorted({variant.split("/")[0] for variant in timed_together(wildcards.group)})


def timed_plans(wildcards):
    """Of what a latency job times, the plans of chosen schedules, by variant."""
    plans = {variant: plan_file(*variant.split("/")) for variant in timed_together(wildcards.group)}
    return {variant: plan for variant, plan in plans.items() if plan}


def timed_prompts(wildcards):
    """Of these, the prompts of those that take some."""
    models = {model: config["models"][model].get("prompts") for model in timed_models(wildcards)}
    return {model: prompts for model, prompts in models.items() if prompts is not None}


def latency_file(layout):
    """Where a table's times stand; none where it shows no times."""
    return [f"{RESULTS}/latency/{layout['timing']['group']}.json"] if timed_variants(layout) else []


def table_file(name):
    """table2 -> results/<suite>/tables/table02.csv; a table of another name has the same in its file."""
    number = re.fullmatch("table([0-9]+)", name)
    return f"{RESULTS}/tables/{f'table{int(number[1]):02d}' if number else name}.csv"


def table_inputs(layout):
    """The files that a table's cells are read from."""
    runs = [f"{RESULTS}/{run.path}/run.json" for run in layout_runs(layout)]
    metrics = [f"{RESULTS}/{run.path}/metrics.json" for run in layout_runs(layout, FROM_METRICS)]
    paired = [f"{RESULTS}/{run.path}/paired.json" for run in paired_runs(layout)]
    clip = [f"{RESULTS}/{run.path}/clip_score.json" for run in layout_runs(layout, FROM_CLIP)]
    fidelity = [f"{RESULTS}/{run.path}/paired_fidelity.json" for run in fidelity_runs(layout)]
    macs = sorted({f"{RESULTS}/macs/{run.model}.json" for run in layout_runs(layout, ("macs_g",))})
    latency = latency_file(layout)
    memory = sorted({f"{RESULTS}/memory/{run.model}.json" for run in layout_runs(layout, FROM_MEMORY)})
    return [*runs, *metrics, *paired, *clip, *fidelity, *macs, *latency, *memory]


def kept_results(layout):
    """All that a table rests on: asked for by name, or Snakemake would not notice that a shard is lost."""
    runs = layout_runs(layout)
    shards = [shard for run in runs for shard in shard_paths(f"{RESULTS}/{run.path}", run.model)]
    return [*table_inputs(layout), *shards]


def grid_runs(name):
    """(label, run) for each method of a picture: the rows of its table that it shows, the first seed."""
    grid = config["sample_grids"][name]
    layout = LAYOUTS[grid["table"]]
    model = grid.get("model", None if "where" in grid else config["tables"][grid["table"]]["model"])
    found = {}
    for row in layout["rows"]:
        if any(row["labels"].get(key) not in values for key, values in grid.get("where", {}).items()):
            continue
        for column, paths in row["runs"].items():
            run = Run.parse(paths[0])
            if model in (None, run.model) and grid.get("run", column) == column:
                label = grid.get("label", "{method}").format_map({"method": run.method.slug, **row["labels"]})
                found.setdefault(paths[0], label)
    return [(label, Run.parse(path)) for path, label in found.items()]


def grid_prompts(wildcards):
    """The prompts of a picture that shows them; none otherwise."""
    (_, run), *_ = grid_runs(wildcards.grid)
    prompts = config["models"][run.model].get("prompts")
    return dataset_manifest(prompts) if config["sample_grids"][wildcards.grid].get("prompts") else []


def grid_latency(wildcards):
    """The times of a picture that shows them; none otherwise."""
    grid = config["sample_grids"][wildcards.grid]
    return latency_file(LAYOUTS[grid["table"]]) if grid.get("seconds") else []


def grid_options(wildcards, input):
    """What else a picture shows, as options of sample_grid.py."""
    options = ["--prompts", str(input.prompts)] if input.prompts else []
    if input.latency:
        layout = LAYOUTS[config["sample_grids"][wildcards.grid]["table"]]
        variants = [timed_variant(layout, run) for _, run in grid_runs(wildcards.grid)]
        options += ["--latency", str(input.latency), "--variants", *variants]
    return shlex.join(options)


def grids_of(table):
    """The pictures that belong to a table."""
    return [f"{RESULTS}/figures/{name}.png" for name, grid in config["sample_grids"].items() if grid["table"] == table]


def in_report(item, path):
    """A file as the report shows it; its caption is read when the report is made, and redoes nothing else."""
    return report(
        path,
        caption=os.path.abspath(f"{RESULTS}/report/captions/{item.name}.rst"),
        category=item.category,
        subcategory=item.subcategory,
        labels=item.labels,
    )


def summary_tables():
    """What the summary says of each table, and where it lies."""
    named = {
        name: {
            "title": layout["title"],
            "path": table_file(name),
            "published": layout["published"],
            "latency": latency_file(layout),
        }
        for name, layout in LAYOUTS.items()
    }
    diversity = {"title": f"Diversity: {config['diversity']['title']}", "path": f"{RESULTS}/tables/diversity.csv"}
    return {**named, "diversity": diversity}


def swept():
    """(model, branch, interval) of every sweep."""
    return [
        (model, branch, interval)
        for model, settings in BEYOND["models"].items()
        for branch in settings["branches"]
        for interval in BEYOND["intervals"]
    ]


def beyond_variants(model):
    """What is timed of a model: without caching, holding, a forecast, and what the rule chose."""
    sampler = config["models"][model]["sampler"]
    methods = [
        method
        for name, branch, interval in swept()
        if name == model
        for method in (
            f"uniform-n{interval}-b{branch}",
            f"uniform-n{interval}-b{branch}-forecast1",
            f"chosen-n{interval}-b{branch}",
        )
    ]
    return [f"{model}/{sampler}/{method}" for method in ["full", *methods]]


def held_variants(model):
    """Of these, holding at the first branch: what peers are to be as fast as."""
    branch = BEYOND["models"][model]["branches"][0]
    sampler = config["models"][model]["sampler"]
    return [f"{model}/{sampler}/uniform-n{interval}-b{branch}" for interval in BEYOND["intervals"]]


def beyond_plans(model):
    """The plans among them, by variant."""
    plans = {variant: plan_file(*variant.split("/")) for variant in beyond_variants(model)}
    return {variant: plan for variant, plan in plans.items() if plan}


def scored(wildcards):
    """Manifests by which a model's images are scored: its reference's weights, its CLIP model."""
    model = config["models"][wildcards.model]
    return {
        "reference": f"{RESULTS}/references/{model['reference']}.npz" if "reference" in model else [],
        "extractor": manifest(config["references"][model["reference"]]["weights"]) if "reference" in model else [],
        "clip": manifest(model["clip"]) if "clip" in model else [],
    }


def score_options(wildcards, input):
    """How a model's images are scored, as options of sweep.py and peers.py."""
    options = []
    if input.reference:
        kind = config["references"][reference_of(wildcards.model)]["extractor"]
        options += ["--reference", input.reference, "--extractor", kind, "--extractor-weights", input.extractor]
    options += ["--clip", input.clip] if input.clip else []
    options += ["--prompts", input.prompts] if input.prompts else []
    return shlex.join(options)


def first_recordings():
    """The recording of each model's first branch, by model."""
    return {
        model: f"{RESULTS}/plans/{model}/{config['models'][model]['sampler']}/recorded-b{settings['branches'][0]}.npz"
        for model, settings in BEYOND["models"].items()
    }


def gpus():
    """GPUs that a job takes: none where the suite runs on the CPU."""
    return 0 if config["device"] == "cpu" else 1


def submit_without_limit():
    """Look for jobs to start when one has ended, and only then.

    Snakemake 9 limits how many it starts in a second. For that it looks through all that wait a second after each look
    as well, one more time a second for each job that ever ended: after some hundred jobs that takes a core of its own.
    A longer span (--max-jobs-per-timespan) would keep Snakemake from ending for as long.
    """
    workflow.scheduler.job_rate_limiter = None


def start_preloaded():
    """Start the server of workflow/preloaded.py; it ends with this process."""
    if not config["preload"]:
        return
    address = Path(tempfile.mkdtemp(prefix="deepcache-"), "socket")
    os.environ.update(DEEPCACHE_PRELOADED=f"{sys.prefix}{os.pathsep}{address}")
    command = [sys.executable, f"{workflow.basedir}/workflow/preloaded.py", "--serve", str(address)]
    subprocess.Popen(command, stdin=subprocess.DEVNULL)
