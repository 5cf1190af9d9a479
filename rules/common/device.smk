# The device that jobs compute on.
import functools

from deepcache.gpus import count_gpus

# In commands: `auto` is not spelt out in what Snakemake compares, so that results stay valid where they are moved to a machine
# with another device; what the config names is, so that naming another one makes everything anew.
DEVICE = "{resources.device}" if config["device"] == "auto" else config["device"]


@functools.cache
def chosen_device():
    """What the config says; of `auto`, the GPU where there is one. On a cluster that is for the node to say."""
    cluster = workflow.remote_exec or not workflow.local_exec
    auto = config["device"] == "auto"
    device = "cuda" if auto and not cluster and count_gpus() else "cpu" if auto and not cluster else config["device"]
    if device == "cpu" and "gpu" in workflow.resource_settings.resources and not cluster:
        why = "no CUDA device is found" if auto else "the config says device: cpu"
        logger.warning(f"--resources gpu: every job runs on the CPU, for {why}")
    return device


def device(wildcards):
    """What a job is told to compute on."""
    return chosen_device()


def gpus(wildcards):
    """GPUs that a job takes: none where the suite runs on the CPU."""
    return 0 if chosen_device() == "cpu" else 1
