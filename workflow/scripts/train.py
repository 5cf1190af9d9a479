"""Train one of the shipped models and record how.

Writes the model in fp16 (diffusers' format where it is a pipeline), training.json and loss.png to the output folder.
"""

import dataclasses

from deepcache import cli
from deepcache.runs.families import RECIPES


def main(arguments) -> None:
    """Train and save; the folder appears only when everything is in it."""
    import torch

    from deepcache.files import atomic, check_replaceable
    from deepcache.training import recipes
    from deepcache.training.record import write_record

    output = arguments.output.resolve()
    check_replaceable(output, "training.json")
    recipe = recipes.RECIPES[arguments.model]
    overrides = {"seed": arguments.seed, **({"steps": arguments.steps} if arguments.steps else {})}
    phases = {name: dataclasses.replace(settings, **overrides) for name, settings in recipe.phases.items()}
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    with atomic(output) as folder:
        write_record(folder, arguments.model, recipe.dataset, recipe.train(phases, folder), "cpu")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--model", required=True, choices=list(RECIPES))
    parser.add_argument(
        "--output", required=True, type=cli.output_folder, metavar="DIR", help="new folder for the checkpoint"
    )
    parser.add_argument("--steps", type=cli.positive, help="optimisation steps in each phase (default: the recipe's)")
    parser.add_argument("--seed", type=cli.natural, default=0)
    parser.add_argument("--threads", type=cli.positive, default=2, help="CPU threads")
    cli.run(main, parser)
