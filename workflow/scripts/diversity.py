"""Measure how different the images are that a method makes from one prompt with several seeds.

For each prompt: mean pairwise LPIPS and mean squared difference of pixels (0 to 255) over the pairs of seeds, and the
variance of the CLIP score over the seeds; their means with 95 % intervals over prompts.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Go through the runs in step and write the metrics."""
    import numpy as np
    import torch

    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_weights
    from deepcache.provenance import provenance
    from deepcache.quality.diversity import measure_diversity
    from deepcache.quality.image_sets import run_images
    from deepcache.quality.perceptual import load_perceptual
    from deepcache.results.seeds import about_seeds, read_seeds

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    if len(arguments.runs) != len(arguments.clip_scores):
        raise DeepCacheError(
            f"{len(arguments.runs)} --runs, but {len(arguments.clip_scores)} --clip-scores: give one for each run"
        )
    seeds = read_seeds(zip(arguments.runs, arguments.clip_scores, strict=True))
    folder, weights = open_weights(arguments.perceptual)
    perceptual = load_perceptual(folder, device)
    runs, scores = [run_images(one.path) for one in seeds], np.array([one.clip["scores"] for one in seeds])
    diversity = measure_diversity(runs, scores, perceptual.distances, arguments.batch_size)
    write_json(
        arguments.output,
        {
            **diversity.summary(),
            **about_seeds(seeds),
            "perceptual": {"kind": perceptual.kind, **weights},
            **provenance(device, measured_exactly=True),
            "per_prompt": diversity.per_prompt(),
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--runs", required=True, type=Path, nargs="+", metavar="JSON", help="the sidecar run.json of each seed's run"
    )
    parser.add_argument(
        "--clip-scores", required=True, type=Path, nargs="+", metavar="JSON", help="clip_score.json of each, in order"
    )
    parser.add_argument(
        "--perceptual", required=True, type=Path, metavar="JSON", help="manifest or folder of AlexNet or the classifier"
    )
    parser.add_argument("--batch-size", type=cli.positive, default=32, help="images of each run at a time")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
