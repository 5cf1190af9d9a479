# What target beyond compares.


def swept():
    """(model, branch, interval) of every sweep."""
    return [
        (model, branch, interval)
        for model, settings in BEYOND["models"].items()
        for branch in settings["branches"]
        for interval in BEYOND["intervals"]
    ]


def calibration_prompts(wildcards):
    """The prompts that a model's plans are made on, if it takes some: its own, unless it has others for that."""
    prompts = config["models"][wildcards.model].get("calibration_prompts")
    return prompts_manifest(wildcards) if prompts is None else dataset_manifest(prompts)


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


def beyond_plans(model):
    """The plans among them, by variant."""
    plans = {variant: plan_file(*variant.split("/")) for variant in beyond_variants(model)}
    return {variant: plan for variant, plan in plans.items() if plan}


def scored_by(wildcards):
    """What a model's images are scored by: its reference, the weights of its features, its CLIP model."""
    model, files = config["models"][wildcards.model], []
    if "reference" in model:
        reference = model["reference"]
        files += [f"{RESULTS}/references/{reference}.npz", manifest(config["references"][reference]["weights"])]
    return files + ([manifest(model["clip"])] if "clip" in model else [])


def scored_options(wildcards, settings):
    """What programs that compare images have in common: the model, what it samples, how its images are scored."""
    model = config["models"][wildcards.model]
    options = {"name": wildcards.model, "sampler": model["sampler"], "seeds": settings["seeds"]}
    options |= {"images": settings["models"][wildcards.model]["images"]}
    options["calibration_prompts"] = calibration_prompts(wildcards)
    if "reference" in model:
        statistics, weights, *_ = scored_by(wildcards)
        kind = config["references"][model["reference"]]["extractor"]
        options |= {"reference": statistics, "extractor": kind, "extractor_weights": weights}
    if "clip" in model:
        options["clip"] = manifest(model["clip"])
    return f"{model_options(wildcards)} {shlex.join(as_options(options))}"


def swept_plan(wildcards):
    """The plan of a sweep's chosen schedule."""
    sampler = config["models"][wildcards.model]["sampler"]
    return plan_file(wildcards.model, sampler, f"chosen-n{wildcards.interval}-b{wildcards.branch}")


def sweep_options(wildcards):
    """What a sweep samples, and how its images are scored."""
    swept = {"branch": wildcards.branch, "interval": wildcards.interval, "screened": config["calibration"]["screened"]}
    options = as_options({**swept, "plan": swept_plan(wildcards)})
    return f"{scored_options(wildcards, BEYOND)} {shlex.join(options)}"


def contest_options(wildcards):
    """At which speeds a model's methods are compared, and how their images are scored."""
    return f"{scored_options(wildcards, BUDGET)} {how_timed(speeds=BUDGET['speeds'], few_steps=BUDGET['few_steps'])}"


def budget_in_report(path, category, column):
    """A file as the report shows it, where it was made."""
    labels = {column: "Budget", "title": "What is lost at a speed"}
    kind = {"category": category, "subcategory": "Beyond the paper"}
    return report(path, caption="../../workflow/report/budget.rst", labels=labels, **kind)


def beyond_timing_options(wildcards):
    """What is timed of a model, and how."""
    prompts = prompts_manifest(wildcards)
    return how_timed(
        checkpoints=f"{wildcards.model}={model_manifest(wildcards)}",
        precision=f"{wildcards.model}={precision_of(wildcards.model)}",
        prompts=f"{wildcards.model}={prompts}" if prompts else None,
        negative_prompts=negative_prompts_of([wildcards.model]),
        plans=[f"{variant}={plan}" for variant, plan in beyond_plans(wildcards.model).items()],
        variants=beyond_variants(wildcards.model),
        execution="eager",  # the methods of a table are compared as they run everywhere
    )


def calibration_options(wildcards):
    """The method whose plan is made, and on how many images of which noise."""
    settings = config["calibration"]
    method = f"chosen-n{wildcards.interval}-b{wildcards.branch}"
    images = {"images": settings["sampled"], "screened": settings["screened"], "seed": settings["seed"] + 1}
    return shlex.join(as_options({"sampler": wildcards.sampler, "method": method, **images}))


def recording_options(wildcards):
    """Which branch is recorded, on how many images of which noise, with how many backward passes."""
    settings = config["calibration"]
    place = {"sampler": wildcards.sampler, "branch": wildcards.branch}
    recorded = {"images": settings["recorded"], "probes": settings["probes"], "seed": settings["seed"]}
    # Where a long recording goes on after an interruption.
    partial = f"{RESULTS}/plans/{wildcards.model}/{wildcards.sampler}/recorded-b{wildcards.branch}.partial.npz"
    return shlex.join(as_options({**place, **recorded, "partial": partial}))


def recorded_features(model, branch):
    """What is recorded of a model's branch for its plans."""
    return f"{RESULTS}/plans/{model}/{config['models'][model]['sampler']}/recorded-b{branch}.npz"


def first_recordings():
    """The recording of each model's first branch, by model."""
    return {model: recorded_features(model, settings["branches"][0]) for model, settings in BEYOND["models"].items()}


# N of the plans in the picture of forecasts: 5, or the largest below it that is compared.
DRAWN = max((interval for interval in BEYOND["intervals"] if interval <= 5), default=5)


def first_plans():
    """The plan of each model's first branch at that N, by model."""
    return {
        model: plan_file(model, config["models"][model]["sampler"], f"chosen-n{DRAWN}-b{settings['branches'][0]}")
        for model, settings in BEYOND["models"].items()
    }


# What the table and the pictures of target beyond are made from.
BEYOND_FILES = {
    "sweeps": [f"{RESULTS}/beyond/{model}/b{branch}-n{interval}.json" for model, branch, interval in swept()],
    "macs": [f"{RESULTS}/macs/{model}.json" for model in BEYOND["models"]],
    "timing": [f"{RESULTS}/beyond/timing/{model}.json" for model in BEYOND["models"]],
}
