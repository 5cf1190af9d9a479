"""Draw the images that several seeds give for a few prompts, a row for each method, and the metrics of diversity.

It shows whether caching makes the images of one prompt more alike.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the metrics and the first images of their runs, first.npz beside run.json, and draw them."""
    import numpy as np

    from deepcache.figures.diversity import Compared, draw_diversity
    from deepcache.figures.style import save
    from deepcache.json_values import read_object
    from deepcache.quality.prompted_images import open_prompts
    from deepcache.results.diversity import build_diversity_table
    from deepcache.sampling.shards import read_images

    def first_images(run: str) -> np.ndarray:
        return read_images([Path(run).with_name("first.npz")], arguments.prompts)[0]

    table = build_diversity_table(arguments.diversity)
    models = []
    for (model, sampler), rows in table.groupby(["model", "sampler"], sort=False):
        runs = [row.split("; ") for row in rows["runs"]]
        images = np.stack([np.stack([first_images(run) for run in seeds], axis=1) for seeds in runs])
        prompts, _ = open_prompts(read_object(arguments.diversity[rows.index[0]], ("prompts",))["prompts"]["file"])
        models.append(Compared(f"{model}, {sampler}", rows, images, prompts[: arguments.prompts]))
    save(draw_diversity(arguments.title, models), arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--diversity", required=True, type=Path, nargs="+", metavar="JSON", help="diversity.json of each method"
    )
    parser.add_argument("--prompts", type=cli.positive, default=3, help="so many of the first prompts are shown")
    parser.add_argument("--title", default="")
    parser.add_argument("--output", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
