"""Write a checkpoint of one of the paper's architectures with random weights, to try the workflow without downloads.

Its images show nothing. Writes diffusers' format in fp16 (what measures images: its own files) and random.json.
"""

from deepcache import cli


def main(arguments) -> None:
    """Draw and save; the folder appears only when everything is in it."""
    import torch

    from deepcache.models.random_weights import write_random

    torch.set_num_threads(arguments.threads)
    write_random(arguments.architecture, arguments.output.resolve(), arguments.seed, arguments.sample_size)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--architecture", required=True, help="such as ddpm-cifar10, sd-v1-5, inception, clip-vit-b-32")
    parser.add_argument("--seed", type=cli.natural, default=0)
    parser.add_argument(
        "--sample-size", type=cli.positive, metavar="S", help="side of the U-Net's input (default: the original's)"
    )
    parser.add_argument(
        "--output", required=True, type=cli.output_folder, metavar="DIR", help="new folder for the checkpoint"
    )
    parser.add_argument("--threads", type=cli.positive, default=1, help="CPU threads")
    cli.run(main, parser)
