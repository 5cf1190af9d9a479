"""Compare caching as it is tuned with fewer steps and others' methods at equal measured time, for one model.

At each speed every method gets the setting with which it errs least on prompts and noises of the search; they are timed
beside each other, interleaved, on an otherwise idle machine, and make images from fresh noises. These are compared with
the converged images, which many steps make from the same noise: the squared error of every image, FID, CLIP score.
Keeps no images. Tokens are merged where tomesd is installed. Run again after a kill it goes on where it was.
"""

from deepcache import cli
from deepcache.beyond.comparison.scoring import add_scoring_options, check_seeds
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Load once, then speed by speed."""
    from deepcache.beyond.comparison.compared import Comparison
    from deepcache.beyond.equal_time.compete import compete
    from deepcache.beyond.equal_time.contest import Asked
    from deepcache.beyond.tuning.tuner import Effort
    from deepcache.files import sha256

    check_seeds(arguments.seeds, arguments.seed)
    request = open_request(arguments)
    effort = Effort(minutes=arguments.minutes, seed=arguments.seed)
    names = ("seeds", "images", "batch_size", "repeats")
    how = {name: getattr(arguments, name) for name in names}
    about = {"model": arguments.name, "sampler": request.sampler.slug, **how, "weights": request.manifest["source"]}
    asked = Asked(request.sampler, tuple(arguments.speeds), tuple(arguments.few_steps), effort, **how)
    scored_by = [arguments.reference, arguments.extractor_weights, arguments.clip]
    known = {str(path): sha256(path) for path in scored_by if path}
    picking = request.painting(arguments.calibration_prompts)
    compete(request, picking, asked, Comparison.load(request, arguments), known, arguments.output, about)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    add_scoring_options(parser)
    parser.add_argument("--speeds", type=cli.positive_number, nargs="+", default=[1.5, 2, 3, 5, 8], help="speed-ups")
    parser.add_argument(
        "--few-steps", type=cli.positive, nargs="*", default=[2, 4, 8], help="where N = 2 is compared with fewer steps"
    )
    parser.add_argument("--batch-size", type=cli.positive, default=8, help="images in a trajectory that is timed")
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed repetitions after a warm-up")
    parser.add_argument("--minutes", type=cli.positive_number, default=10.0, help="of each search of the tuner")
    parser.add_argument("--seed", type=cli.natural, default=7001, help="of the search's noise, and the next one")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
