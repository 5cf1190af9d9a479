# The checked config, paths, and small functions that several rule files use.
import json
import math
import shlex
import subprocess
import tempfile
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.results.config import validate
from deepcache.results.layout import FROM_METRICS, layout_runs, table_layout, timed_variants
from deepcache.results.runs import Method, Sampler

PUBLISHED = "config/published"

try:
    validate(config, workflow.source_path("../config/schema.yaml"), Path(workflow.basedir) / PUBLISHED)
except DeepCacheError as error:
    print(error, file=sys.stderr)
    sys.exit(1)

RESULTS = f"results/{config['suite']}"
RUN = f"{RESULTS}/{{model}}/{{sampler}}/{{method}}/seed-{{seed}}"
TRAINED = [name for name, checkpoint in config["checkpoints"].items() if checkpoint["source"] == "train"]
LAYOUTS = {name: table_layout(config, name) for name in config["tables"]}


wildcard_constraints:
    checkpoint="|".join(config["checkpoints"]),
    reference="|".join(config["references"]),
    model="|".join(config["models"]),
    sampler=Sampler.PATTERN,
    method=Method.PATTERN,
    seed="[0-9]+",
    shard="[0-9]{5}",
    table="|".join(config["tables"]),
    grid="|".join(config["sample_grids"]),


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


def reference_of(model):
    return config["models"][model]["reference"]


def extractor_manifest(reference):
    return manifest(config["references"][reference]["extractor"])


def from_sources(*sources):
    """The checkpoints from these sources, as a wildcard's pattern; one that matches nothing, if there are none."""
    return "|".join(name for name, one in config["checkpoints"].items() if one["source"] in sources) or "$^"


def checkpoint_folder(name):
    """Where a checkpoint lies, or is put."""
    if name in TRAINED:
        return f"{RESULTS}/checkpoints/{name}"
    return config["checkpoints"][name].get("folder", f"results/downloads/{name}")


def checkpoint_files(wildcards):
    """The files of a checkpoint that lies in its folder already."""
    folder = checkpoint_folder(wildcards.checkpoint)
    files = config["checkpoints"][wildcards.checkpoint].get("sha256", {})
    return [folder] if wildcards.checkpoint in TRAINED or not files else [f"{folder}/{file}" for file in files]


def train_options(name):
    """What the config says of a training, as options of train.py."""
    entry = config["checkpoints"][name]
    return " ".join(f"--{key} {entry[key]}" for key in ("steps", "seed") if key in entry)


def checkpoint_options(name):
    """A checkpoint's entry in the config as options of checkpoint.py."""
    entry = config["checkpoints"][name]
    digests = {} if name in TRAINED else entry.get("sha256", {})
    options = ["--name", name, "--source", entry["source"], "--folder", checkpoint_folder(name)]
    for key in ("licence", "repository", "revision", "url", "convert"):
        options += [f"--{key}", entry[key]] if key in entry else []
    options += ["--include", *entry["include"]] if "include" in entry else []
    options += ["--sha256", *(f"{file}={digest}" for file, digest in digests.items())] if digests else []
    return shlex.join(options)


def shard_paths(run, model):
    settings = config["models"][model]
    shards = math.ceil(settings["samples"] / settings["shard_size"])
    return [f"{run}/shards/{i:05d}.npz" for i in range(shards)]


def timed_models(wildcards):
    return {variant.split("/")[0] for variant in timed_variants(LAYOUTS[wildcards.table])}


def table_file(name):
    """table2 -> results/<suite>/tables/table02.csv"""
    return f"{RESULTS}/tables/table{int(name.removeprefix('table')):02d}.csv"


def table_inputs(layout):
    """The files that a table's cells are read from."""
    runs = [f"{RESULTS}/{run.path}/run.json" for run in layout_runs(layout)]
    metrics = [f"{RESULTS}/{run.path}/metrics.json" for run in layout_runs(layout, FROM_METRICS)]
    macs = sorted({f"{RESULTS}/macs/{run.model}.json" for run in layout_runs(layout, ("macs_g",))})
    latency = [f"{RESULTS}/latency/{layout['name']}.json"] if timed_variants(layout) else []
    return [*runs, *metrics, *macs, *latency]


def kept_results(layout):
    """All that a table rests on: asked for by name, or Snakemake would not notice that a shard is lost."""
    runs = layout_runs(layout)
    shards = [shard for run in runs for shard in shard_paths(f"{RESULTS}/{run.path}", run.model)]
    return [*table_inputs(layout), *shards]


def grid_runs(grid):
    """(label, run) for each row of a picture: the runs of its table, of the first seed."""
    runs = [run for run in layout_runs(LAYOUTS[grid["table"]]) if run.seed == config["models"][run.model]["seeds"][0]]
    return [(f"N = {run.method.interval}", run) for run in runs]


def grids_of(table):
    """The pictures that belong to a table."""
    return [f"{RESULTS}/figures/{name}.png" for name, grid in config["sample_grids"].items() if grid["table"] == table]


def gpus():
    """GPUs that a job takes: none where the suite runs on the CPU."""
    return 0 if config["device"] == "cpu" else 1


def start_preloaded():
    """Start the server of workflow/preloaded.py; it ends with this process."""
    if not config["preload"]:
        return
    address = Path(tempfile.mkdtemp(prefix="deepcache-"), "socket")
    os.environ.update(DEEPCACHE_PRELOADED=f"{sys.prefix}{os.pathsep}{address}")
    command = [sys.executable, f"{workflow.basedir}/workflow/preloaded.py", "--serve", str(address)]
    subprocess.Popen(command, stdin=subprocess.DEVNULL)
