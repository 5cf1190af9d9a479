"""Compare fewer steps (DDIM, DPM-Solver++) and token merging with holding at the same measured time.

Each gets as many steps as holding left time for, as --timing tells, and all are timed anew, interleaved, on an
otherwise idle machine. Their images, from the noises of the model's own sampler, are compared with that one's without
caching: the squared error of every image, FID and CLIP score. Keeps no images. Tokens are merged in text-to-image
models, where tomesd is installed.
"""

from pathlib import Path

from deepcache import cli
from deepcache.beyond.comparison.scoring import add_scoring_options
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Load once, time all interleaved, then sample peer by peer, seed by seed."""
    from deepcache.beyond.comparison.compare_peers import compare_peers
    from deepcache.beyond.comparison.compared import Comparison
    from deepcache.files import write_json
    from deepcache.provenance import provenance

    request = open_request(arguments)
    compared = compare_peers(request, Comparison.load(request, arguments), arguments)
    about = {
        "model": arguments.name,
        "sampler": request.sampler.slug,
        "seeds": arguments.seeds,
        "images": arguments.images,
        "weights": request.manifest["source"],
        "batch_size": arguments.batch_size,
        "repeats": arguments.repeats,
    }
    write_json(arguments.output, {**about, **compared, **provenance(request.device)})


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    add_scoring_options(parser)
    parser.add_argument("--timing", required=True, type=Path, metavar="JSON", help="what time_models.py wrote")
    parser.add_argument(
        "--variants", required=True, nargs="+", metavar="MODEL/SAMPLER/METHOD", help="holding, one for each interval"
    )
    parser.add_argument("--macs", required=True, type=Path, metavar="JSON", help="what model_macs.py wrote")
    parser.add_argument("--batch-size", type=cli.positive, default=8, help="images in a trajectory that is timed")
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed repetitions after a warm-up")
    parser.add_argument(
        "--merge-ratios",
        type=cli.number,
        nargs="*",
        default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75],
        help="of merged tokens",
    )
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
