# The device that jobs compute on.
import functools

from deepcache.gpus import count_gpus

# In commands: `auto` is not spelt out in what Snakemake compares, so that results stay valid where they are moved to a machine
# with another device; what the config names is, so that naming another one makes everything anew.
DEVICE = "{resources.device}" if config["device"] == "auto" else config["device"]
ON_CLUSTER = workflow.remote_exec or not workflow.local_exec


found_gpus = functools.cache(count_gpus)


@functools.cache
def chosen_device():
    """What the config says; of `auto`, the GPU where there is one. On a cluster that is for the node to say."""
    auto = config["device"] == "auto" and not ON_CLUSTER
    device = ("cuda" if found_gpus() else "cpu") if auto else config["device"]
    if device == "cpu" and "gpu" in workflow.resource_settings.resources and not ON_CLUSTER:
        why = "no CUDA device is found" if auto else "the config says device: cpu"
        logger.warning(f"--resources gpu: every job runs on the CPU, for {why}")
    return device


def device(wildcards):
    """What a job is told to compute on."""
    return chosen_device()


def gpus(wildcards):
    """GPUs that a job takes: none where the suite runs on the CPU."""
    return 0 if chosen_device() == "cpu" else 1


def hand_out_gpus():
    """Have as many jobs run at a time as there are places on GPUs; each job takes one itself (deepcache/devices.py).

    To Snakemake a GPU is `jobs_per_gpu` of them: those of `--resources gpu=`, or all that are found. Where a cluster hands
    out GPUs, or whoever set the variable to 0, a job takes what it is given.
    """
    if ON_CLUSTER or os.environ.get("DEEPCACHE_JOBS_PER_GPU") == "0":
        os.environ.update(DEEPCACHE_JOBS_PER_GPU="0")
        return
    places = config.get("jobs_per_gpu", 1)
    os.environ.update(DEEPCACHE_JOBS_PER_GPU=str(places))
    if config["device"] == "cpu" or not workflow.is_main_process:
        return
    given = workflow.resource_settings.resources
    # Kept, since what is registered takes its place, and another module of a workflow may come here, too.
    asked = vars(workflow).setdefault("gpus_asked", given["gpu"].value if "gpu" in given else None)
    found = found_gpus()
    if asked and asked > found and (found or config["device"] == "cuda"):
        logger.warning(f"--resources gpu={asked}: only {found} CUDA devices are found")
    if found:
        workflow.register_resource("gpu", places * min(found if asked is None else asked, found))


hand_out_gpus()
