"""Draw samples beside the real pictures of their prompts, and compare how well both fit their prompts.

Needs prompts whose real picture is known, such as those of the emoji suite.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Score the real picture of each sample's prompt, compare with the samples' scores, draw the first ones."""
    from itertools import cycle, islice

    import torch

    from deepcache.data.emoji import pictures_of
    from deepcache.data.manifests import open_manifest
    from deepcache.figures.real_pictures import Scores, draw_beside
    from deepcache.figures.style import save
    from deepcache.files import write_json
    from deepcache.json_values import read_object
    from deepcache.models.checkpoints import open_weights
    from deepcache.provenance import provenance
    from deepcache.quality.clip_score import load_clip
    from deepcache.quality.prompted_images import open_prompts
    from deepcache.sampling.shards import read_images

    torch.set_num_threads(arguments.threads)
    prompts, about = open_prompts(arguments.prompts)
    sampled = read_object(arguments.clip_score, ("scores", "prompts"))
    prompts = list(islice(cycle(prompts), len(sampled["scores"])))
    real = pictures_of(prompts, Path(open_manifest(arguments.dataset)["path"]))
    folder, weights = open_weights(arguments.weights)
    scores = Scores(real=load_clip(folder, torch.device("cpu")).scores(real, prompts), sampled=sampled["scores"])
    samples, _ = read_images([arguments.shard], arguments.images)
    save(draw_beside(arguments.title, samples, real, prompts, scores), arguments.output)
    write_json(
        arguments.output.with_suffix(".json"),
        {**scores.summary(), "prompts": about, "weights": weights, **provenance("cpu", measured_exactly=True)},
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--shard", required=True, type=Path, metavar="NPZ", help="first.npz of the run")
    parser.add_argument("--clip-score", required=True, type=Path, metavar="JSON", help="clip_score.json of the run")
    parser.add_argument("--prompts", required=True, type=Path, metavar="JSON", help="manifest of its prompts")
    parser.add_argument("--dataset", required=True, type=Path, metavar="JSON", help="manifest of the real pictures")
    parser.add_argument("--weights", required=True, type=Path, metavar="JSON", help="manifest of the model that scores")
    parser.add_argument("--images", type=cli.positive, default=48, help="pictures that are drawn")
    parser.add_argument("--title", default="")
    parser.add_argument("--threads", type=cli.positive, default=1, help="CPU threads")
    parser.add_argument(
        "--output", required=True, type=cli.figure_file, metavar="PNG", help="the numbers lie beside it"
    )
    cli.run(main, parser)
