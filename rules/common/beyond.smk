# What target beyond compares.
import shlex


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
