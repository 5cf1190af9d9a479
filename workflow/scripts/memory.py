"""Measure the memory that sampling takes without caching, and with caching at some branches.

Each trajectory has four steps of the sampler, of which every other is full: peak and cache are those of a longer one.
The peak is that of the whole batch while the U-Net runs: tensors besides the weights (by the allocator's statistics
on a GPU), on the CPU the resident set as well. The cache's bytes are those of one image; guidance doubles them, since
the U-Net then sees each image twice.
"""

from deepcache import cli
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Load the model once and follow a trajectory of each branch."""
    from deepcache.cost.model_memory import measure_model_memory
    from deepcache.files import write_json
    from deepcache.provenance import provenance

    request = open_request(arguments)
    about = {"checkpoint": request.manifest["name"], "batch_size": arguments.batch_size, "precision": request.precision}
    measured = measure_model_memory(request, arguments.branches, arguments.batch_size)
    write_json(arguments.output, {**about, **measured, **provenance(request.device)})


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    parser.add_argument("--branches", type=cli.natural, nargs="*", default=[], metavar="B", help="from 0")
    parser.add_argument("--batch-size", type=cli.positive, default=8, help="images in a trajectory")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
