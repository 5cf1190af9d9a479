# The device that jobs compute on.
import functools

from deepcache.gpus import JOBS_PER_GPU, count_gpus

# In commands: `auto` is not spelt out in what Snakemake compares, so that results stay valid where they are moved to a machine
# with another device; what the config names is, so that naming another one makes everything anew.
DEVICE = "{resources.device}" if config["device"] == "auto" else config["device"]
found_gpus = functools.cache(count_gpus)
# Jobs take GPUs themselves (deepcache/devices.py). On a cluster's node, or where whoever set the variable to 0 hands them
# out, a job takes what it is given.
GIVEN = workflow.remote_exec or os.environ.get(JOBS_PER_GPU) == "0"
PLACES = 0 if GIVEN else config.get("jobs_per_gpu", 1)
os.environ.update({JOBS_PER_GPU: str(PLACES)})


@functools.cache
def chosen_device():
    """What the config says; of `auto`, the GPU where there is one. On a cluster that is for the node to say."""
    if workflow.remote_exec or not workflow.local_exec:
        return config["device"]
    auto = config["device"] == "auto"
    device = ("cuda" if found_gpus() else "cpu") if auto else config["device"]
    given = workflow.resource_settings.resources
    # Kept, since `count_places` puts another number there, and several modules of a workflow may be this one.
    asked = vars(workflow).setdefault("gpus_asked", given["gpu"].value if "gpu" in given else None)
    if device == "cuda":
        count_places(asked)
    elif asked is not None:
        why = "no CUDA device is found" if auto else "the config says device: cpu"
        logger.warning(f"--resources gpu: every job runs on the CPU, for {why}")
    return device


def count_places(asked):
    """Have as many jobs run at a time as have a place on a GPU, `jobs_per_gpu` on each that was asked for, or on all."""
    found = found_gpus()
    if asked is not None and asked > found:
        logger.warning(f"--resources gpu={asked}: only {found} CUDA devices are found")
    if PLACES and found and workflow.is_main_process:
        workflow.register_resource("gpu", PLACES * min(found if asked is None else asked, found))


def device(wildcards):
    """What a job is told to compute on."""
    return chosen_device()


def gpus(wildcards):
    """GPUs that a job takes: none where the suite runs on the CPU."""
    return 0 if chosen_device() == "cpu" else 1
