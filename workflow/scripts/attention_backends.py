"""Time torch's implementations of attention where Stable Diffusion's shallow step spends most of its time.

That is attention of the largest latent, 4,096 tokens in 8 heads of 40 channels, to itself and to the prompt.
"""

from deepcache import cli


def main(arguments) -> None:
    """Measure each number of images and of keys; write a row for each backend."""
    import pandas as pd
    import torch

    from deepcache.cost.attention_backends import time_backends
    from deepcache.devices import choose_device
    from deepcache.files import atomic
    from deepcache.provenance import device_name
    from deepcache.sampling.families import PRECISIONS

    torch.set_num_threads(arguments.threads)
    device, dtype, rows = choose_device(arguments.device), PRECISIONS[arguments.precision], []
    about = {"device": device_name(device), "precision": arguments.precision, "torch": torch.__version__}
    for images in arguments.images:
        shape = (2 * images, arguments.heads, arguments.tokens, arguments.channels)
        for keys in (arguments.tokens, arguments.prompt):
            found = time_backends(shape, keys, dtype, device, arguments.repeats)
            rows += [{**about, "images": images, "keys": keys, **row} for row in found]
    with atomic(arguments.output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--images", nargs="+", type=cli.positive, default=[1, 8], help="at a time, guided")
    parser.add_argument("--heads", type=cli.positive, default=8)
    parser.add_argument("--tokens", type=cli.positive, default=4096, help="of the latent")
    parser.add_argument("--prompt", type=cli.positive, default=77, help="tokens of the prompt")
    parser.add_argument("--channels", type=cli.positive, default=40, help="of a head")
    parser.add_argument("--precision", default="float16", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed runs after a warm-up")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="CSV")
    cli.run(main, parser)
