"""Record how similar a layer's features are between the steps of uncached sampling (Figure 2 of the paper)."""

from deepcache import cli
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Sample a few images, one after the other, and compare the features of all steps."""
    from deepcache.progress import progress
    from deepcache.quality.feature_similarity import FeatureSimilarity
    from deepcache.quality.similarity_file import write_similarity

    request = open_request(arguments)
    model, sampler, similarity = request.model, request.sampler, FeatureSimilarity()
    total = arguments.images * model.num_steps(sampler)
    with progress(None, f"{request.manifest['name']} {arguments.layer}", unit="step", total=total) as bar:
        for image in range(arguments.images):  # one at a time: the features of all its steps are in memory
            with similarity.recording(model.unet, arguments.layer):
                model.sample([image], request.seed, sampler, lambda step: bar.update())
    write_similarity(arguments.output, similarity, request, arguments.layer, arguments.images)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    parser.add_argument("--layer", default="up_blocks.2", help="a layer's name in the U-Net")
    parser.add_argument("--images", type=cli.positive, default=4, help="trajectories")
    parser.add_argument("--seed", type=cli.natural, default=0)
    parser.add_argument("--output", required=True, type=cli.output_file(".npz"), metavar="NPZ")
    cli.run(main, parser)
