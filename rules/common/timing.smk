# What the jobs that have the machine to themselves time.
from deepcache.suite.layout import timed_variants


def timed_together(group):
    """What one timing job times for all tables of its group, uncached first."""
    layouts = [layout for layout in LAYOUTS.values() if layout["timing"].get("group") == group]
    variants = list(dict.fromkeys(variant for layout in layouts for variant in timed_variants(layout)))
    return sorted(variants, key=lambda variant: Path(variant).name != "full")


def method_in(variant):
    """The method of a variant, model/sampler/method."""
    return variant.split("/")[2]


def timed_models(wildcards):
    """Models that a timing job times, in order."""
    return sorted({variant.split("/")[0] for variant in timed_together(wildcards.group)})


def timed_plans(wildcards):
    """Of what a timing job times, the plans of chosen schedules, by variant."""
    plans = {variant: plan_file(*variant.split("/")) for variant in timed_together(wildcards.group)}
    return {variant: plan for variant, plan in plans.items() if plan}


def timed_prompts(wildcards):
    """Of these, the prompts of those that take some."""
    models = {model: config["models"][model].get("prompts") for model in timed_models(wildcards)}
    return {model: prompts for model, prompts in models.items() if prompts is not None}


def timing_file(layout):
    """Where a table's times stand; none where it shows no times."""
    return [f"{RESULTS}/timing/{layout['timing']['group']}.json"] if timed_variants(layout) else []


def timing_options(wildcards):
    """What a timing job of tables times, and how."""
    models = timed_models(wildcards)
    return how_timed(
        checkpoints=[f"{model}={manifest(config['models'][model]['checkpoint'])}" for model in models],
        precision=[f"{model}={precision_of(model)}" for model in models],
        prompts=[f"{model}={dataset_manifest(name)}" for model, name in timed_prompts(wildcards).items()],
        negative_prompts=negative_prompts_of(models),
        plans=[f"{variant}={plan}" for variant, plan in timed_plans(wildcards).items()],
        variants=timed_together(wildcards.group),
        execution=config["execution"],
    )


def how_timed(**what):
    """Options of a job that has the machine to itself: what it times, and how the suite says that it is done."""
    return shlex.join(as_options({**what, **config["timing"]}))


def whole_machine(threads):
    """Threads of a job beside which nothing else may run.

    Here every core. On a cluster those that it works with: Snakemake does not know a node's cores, and the profile asks for
    the whole node.
    """
    return lambda wildcards: workflow.cores if workflow.local_exec else threads
