# What jobs are told, as options of their programs. All of it comes from functions of the wildcards alone: Snakemake does
# not compare parameters that are made from a job's input, so that a change of the config would redo nothing.


def options_of(entry, *keys):
    """Keys of an entry as a program's options of the same names."""
    return as_options({key: entry[key] for key in keys if key in entry})


def as_options(values):
    """Options by their names: a list is several values, True an option without one; None and False are left out."""
    words = []
    for key, value in values.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{key.replace('_', '-')}")
        if value is not True:
            words += [str(one) for one in (value if isinstance(value, list) else [value])]
    return words


def as_function(text):
    """A text of the config as a parameter: braces in it are no wildcards."""
    return lambda wildcards: text


whole_config = as_function(json.dumps(config))


def model_options(wildcards):
    """The model that a job loads: its checkpoint, precision, and prompts if it takes some."""
    return loaded_model(wildcards, prompts_manifest(wildcards))


def calibrated_model_options(wildcards):
    """As `model_options`, of jobs that make plans: with the prompts that these are made on."""
    return loaded_model(wildcards, calibration_prompts(wildcards))


def loaded_model(wildcards, prompts):
    """The model that a job loads, with these prompts."""
    loaded = {"checkpoint": model_manifest(wildcards), "precision": precision_of(wildcards.model), "prompts": prompts}
    negative = config["models"][wildcards.model].get("negative_prompt")
    # In one word, since the text may begin with a hyphen.
    return shlex.join(as_options(loaded) + ([] if negative is None else [f"--negative-prompt={negative}"]))


def shard_options(wildcards):
    """How a shard is sampled, by a plan if its method has one, which images it holds, and how many at a time."""
    run = {name: wildcards[name] for name in ("sampler", "method", "seed")} | {"execution": config["execution"]}
    run["plan"] = plan_file(wildcards.model, wildcards.sampler, wildcards.method)
    model = config["models"][wildcards.model]
    shard = {"shard": int(wildcards.shard), "shard_size": model["shard_size"], "batch_size": model["batch_size"]}
    return shlex.join(as_options({**run, **shard}))


def memory_options(wildcards):
    """Where the memory of a model is measured, at the batch that is timed."""
    measured = {"sampler": config["models"][wildcards.model]["sampler"], "branches": branches_of(wildcards.model)}
    return shlex.join(as_options({**measured, "batch_size": config["timing"]["batch_size"]}))


def similarity_options(wildcards):
    """What Figure 2 records of a model."""
    layer = config["similarity"]["layers"][wildcards.model]
    sampled = {"sampler": config["models"][wildcards.model]["sampler"], "layer": layer}
    return shlex.join(as_options({**sampled, "images": config["similarity"]["images"]}))


def latency_options(wildcards):
    """What target latency times of an architecture."""
    own = LATENCY["models"][wildcards.architecture]
    shared = {key: LATENCY[key] for key in LATENCY if key != "models"}
    return shlex.join(as_options({"models": wildcards.architecture, **shared, **own}))
