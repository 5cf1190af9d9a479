"""Measure the memory that sampling takes without caching, and with caching at some branches.

Each trajectory has four steps of the sampler, of which every other is full: peak and cache are those of a longer one.
The peak is that of the whole batch while the U-Net runs: tensors besides the weights (by the allocator's statistics
on a GPU), on the CPU the resident set as well. The cache's bytes are those of one image; guidance doubles them, since
the U-Net then sees each image twice.
"""

from dataclasses import replace
from pathlib import Path

from deepcache import cli
from deepcache.runs.method import Method
from deepcache.runs.sampler import Sampler

STEPS = 4


def main(arguments) -> None:
    """Load the model once and follow a trajectory of each branch."""
    import torch

    from deepcache.cost.memory import measure_memory
    from deepcache.data.manifests import read_prompts
    from deepcache.devices import choose_device
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.sampling.caching import cached
    from deepcache.sampling.families import load_model

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    sampler = replace(Sampler.parse(arguments.sampler), steps=STEPS)
    folder, manifest = open_checkpoint(arguments.checkpoint)
    model = load_model(folder, device, arguments.precision, arguments.prompts and read_prompts(arguments.prompts))

    def sample() -> None:
        model.sample(range(arguments.batch_size), 0, sampler)

    def measure(method: Method) -> dict:
        with cached(model.unet, method, sampler) as cache:
            sample()  # so that libraries have allocated what they keep
            if cache is not None:
                cache.start_trajectory()
            found = measure_memory(model.unet, sample, device, cache)
        return {
            "bytes_cached": found.cached // arguments.batch_size,
            "peak_bytes": found.peak,
            "resident_bytes": found.resident,
        }

    branches = progress(arguments.branches, f"memory of {manifest['name']}", unit="branch")
    weights = [*model.unet.parameters(), *model.unet.buffers()]
    write_json(
        arguments.output,
        {
            "checkpoint": manifest["name"],
            "sampler": sampler.slug,
            "batch_size": arguments.batch_size,
            "precision": arguments.precision,
            "weights_bytes": sum(tensor.nbytes for tensor in weights),
            "uncached": measure(Method()),
            "branches": {branch: measure(Method("uniform", 2, branch)) for branch in branches},
            **provenance(device),
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--sampler", default="ddim-100", help="such as plms-50-cfg7.5; of its steps, four are taken")
    parser.add_argument("--branches", type=int, nargs="*", default=[], metavar="B", help="from 0")
    parser.add_argument("--batch-size", type=cli.positive, default=8, help="images in a trajectory")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, for text-to-image")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
