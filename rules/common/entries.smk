# Entries of checkpoints, datasets and references in the config: their files, and themselves as options of programs.
from deepcache.runs.families import TEACHERS


def from_sources(*sources):
    """The checkpoints from these sources, as a wildcard's pattern; one that matches nothing, if there are none."""
    return "|".join(name for name, one in config["checkpoints"].items() if one["source"] in sources) or "$^"


def require_folder(kind, name, made):
    """Stop before any job runs where an entry's own file or folder is missing and what is made of it is not here yet."""
    folder = config[kind][name].get("folder")
    if folder is not None and not Path(given(folder)).exists() and not Path(made).exists():
        print(f"config: {kind}.{name}.folder: {folder}: no such file or folder", file=sys.stderr)
        sys.exit(1)


def checkpoint_folder(name):
    """Where a checkpoint lies, or is put."""
    if name in MADE:
        return f"{RESULTS}/checkpoints/{name}"
    return given(config["checkpoints"][name].get("folder", f"results/downloads/{name}"))


def checkpoint_files(wildcards):
    """The files of a checkpoint that lies in its folder already; none of one that is downloaded or that a package brings."""
    if config["checkpoints"][wildcards.checkpoint]["source"] in ("hub", "url", "package"):
        return []
    if wildcards.checkpoint not in MADE:
        require_folder("checkpoints", wildcards.checkpoint, manifest(wildcards.checkpoint))
    folder = checkpoint_folder(wildcards.checkpoint)
    files = config["checkpoints"][wildcards.checkpoint].get("sha256", {})
    return [folder] if wildcards.checkpoint in MADE or not files else [f"{folder}/{file}" for file in files]


def teacher_files(name):
    """The weights that a student learns from; none of a model that is no student."""
    if name not in TEACHERS:
        return []
    folder = Path(in_project(f"resources/checkpoints/{TEACHERS[name]}"))
    return sorted(map(str, folder.rglob("*.safetensors")))


def train_options(name):
    """What the config says of a training, as options of train.py."""
    entry = config["checkpoints"][name]
    return shlex.join(["--model", name, *options_of(entry, "steps", "seed")])


def random_options(name):
    """A checkpoint's entry in the config as options of random_checkpoint.py."""
    return shlex.join(options_of(config["checkpoints"][name], "architecture", "seed", "sample_size"))


def checksum_options(entry):
    given = [(name, entry[name]) for name in ("sha256", "md5") if entry.get(name)]
    return [
        word for name, digests in given for word in (f"--{name}", *(f"{file}={one}" for file, one in digests.items()))
    ]


def checkpoint_options(name):
    """A checkpoint's entry in the config as options of checkpoint.py."""
    entry = config["checkpoints"][name]
    keys = {"hub": ["repository", "revision"], "url": ["url", "convert"], "package": ["package"]}
    own = keys.get(entry["source"], [])
    folder = [] if entry["source"] == "package" else ["--folder", checkpoint_folder(name)]
    options = ["--name", name, *folder, *options_of(entry, "source", "licence", *own)]
    if entry["source"] == "hub" and "include" in entry:
        options += ["--include", *entry["include"]]
    return shlex.join(options if name in MADE else [*options, *checksum_options(entry)])


def dataset_files(wildcards):
    """None: their times change where nothing else does, and the manifest tells whether they do. What is missing is said."""
    if config["datasets"][wildcards.dataset]["source"] in ("bundled", "local"):
        require_folder("datasets", wildcards.dataset, dataset_manifest(wildcards.dataset))
    return []


def dataset_options(name):
    """A dataset's entry in the config as options of dataset.py."""
    entry = config["datasets"][name]
    if "folder" in entry:
        entry = {**entry, "folder": given(entry["folder"])}
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
    entry = config["references"][name]
    options = options_of(entry, "extractor", "image_size", "crop", "images", "features")
    # Where the statistics of a large dataset go on after an interruption.
    return shlex.join([*options, "--partial", f"{RESULTS}/references/{name}.partial.npz"])
