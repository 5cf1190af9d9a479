"""Find the sampler, steps, branch, full steps and weights with which a checkpoint errs least at a speed, and keep them.

For any checkpoint in diffusers' format that generate.py or sample.py takes. Writes a plan, which `generate.py --plan`
and `DeepCache.from_plan` follow, and beside it a table (.md) and a picture (.png) of what was tried. Run again after a
kill it goes on where it was.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Load, search, write."""
    import torch

    from deepcache.beyond.tuning.budget import Budget
    from deepcache.beyond.tuning.checkpoint import Asked, tune_checkpoint
    from deepcache.beyond.tuning.front import describe, draw
    from deepcache.beyond.tuning.tuner import Effort
    from deepcache.devices import choose_device, choose_precision
    from deepcache.figures.style import save
    from deepcache.files import atomic

    budget = Budget(arguments.speedup, arguments.seconds, arguments.macs)
    torch.set_num_threads(arguments.threads)
    device, output = choose_device(arguments.device), arguments.output
    precision = choose_precision(arguments.precision, device)
    effort = Effort(minutes=arguments.minutes, seed=arguments.seed)
    names = ("checkpoint", "prompts", "steps", "guidance_scale", "batch_size", "execution", "variant")
    asked = Asked(budget=budget, effort=effort, **{name: getattr(arguments, name) for name in names})
    tuned = tune_checkpoint(asked, device, precision, output).tuned
    text = describe(tuned)
    save(draw(tuned), output.with_suffix(".png"))
    with atomic(output.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a folder in diffusers' format, or a manifest")
    parser.add_argument("--variant", metavar="NAME", help="of the weights, such as fp16, where a part has it")
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help=".txt, .tsv or .json; else the checkpoint's prompts.txt, or general ones",
    )
    parser.add_argument("--speedup", type=cli.positive_number, metavar="X", help="over the usual steps, all full")
    parser.add_argument("--seconds", type=cli.positive_number, metavar="S", help="for an image, in place of --speedup")
    parser.add_argument("--macs", type=cli.positive_number, metavar="G", help="1e9 of the U-Net for an image, likewise")
    parser.add_argument("--steps", type=cli.positive, default=50, help="usual number of steps")
    parser.add_argument("--guidance-scale", type=cli.number, help="7.5 for text-to-image where not given, else 1")
    parser.add_argument("--batch-size", type=cli.positive, default=1, help="images at a time, where time is measured")
    parser.add_argument("--minutes", type=cli.positive_number, default=10.0, help="after which nothing new is begun")
    parser.add_argument("--seed", type=cli.natural, default=7001, help="of the noise; the next one is used, too")
    cli.add_precision_option(parser)
    cli.add_device_options(parser)
    cli.add_execution_option(parser)
    parser.add_argument("--output", default=Path("plan.json"), type=cli.output_file(".json"), metavar="JSON")
    cli.run(main, parser)
