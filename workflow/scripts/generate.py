"""Make images with any Stable Diffusion checkpoint, with or without DeepCache.

Text-to-image; with --images image-to-image; with --images and --masks inpainting (white is repainted). For Stable
Diffusion 1 and 2, BK-SDM and SDXL in diffusers' format. Run again, and only what is missing is made. The noise of image
j depends on the seed and j alone. With --plan or --speedup, a plan says which sampler, steps and layers run: one that
tune.py made, or one that is made now and kept for the next time.
"""

import argparse
from pathlib import Path

from deepcache import cli
from deepcache.beyond.tuning.options import add_sampling_options, check_planned, plan_of, sampling_of
from deepcache.methods.options import add_caching_options, method_of


def main(arguments) -> None:
    """Check, load, make what is missing."""
    method = method_of(arguments)
    check_planned(arguments, method)

    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from deepcache.caching.execution import execution_of
    from deepcache.data.pictures import list_pictures
    from deepcache.data.prompts import read_prompts
    from deepcache.devices import choose_device, choose_precision
    from deepcache.generation.generate import Source, generate
    from deepcache.generation.request import Request

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    precision = choose_precision(arguments.precision, device)
    plan = plan_of(arguments, device, precision)
    same = ("negative_prompt", "height", "width", "num_images", "seed")
    request = Request(
        prompts=read_prompts(arguments.prompts),
        images=None if arguments.images is None else list_pictures(arguments.images),
        masks=None if arguments.masks is None else list_pictures(arguments.masks),
        strength=0.8 if arguments.strength is None and arguments.images is not None else arguments.strength,
        **sampling_of(arguments, plan),
        **{name: getattr(arguments, name) for name in same},
    )
    execution = execution_of(arguments.execution)
    place = arguments.output, device, precision, arguments.batch_size, execution
    source = Source(arguments.checkpoint, arguments.variant, arguments.exported)
    generate(source, request, method, *place, plan)


def _renamed(value: str) -> None:
    raise argparse.ArgumentTypeError("it is called --sampler")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a folder in diffusers' format, or a manifest")
    parser.add_argument("--prompts", required=True, type=Path, metavar="FILE", help=".txt, .tsv or .json")
    parser.add_argument(
        "--images", type=Path, metavar="DIR_OR_FILE", help="to begin with: one a prompt, or one for all"
    )
    parser.add_argument("--masks", type=Path, metavar="DIR_OR_FILE", help="white is repainted; as large as the images")
    parser.add_argument("--variant", metavar="NAME", help="of the weights, such as fp16, where a part has it")
    parser.add_argument("--exported", type=Path, metavar="DIR", help="what export.py made of it runs in its place")
    add_caching_options(parser)
    add_sampling_options(parser)
    parser.add_argument("--scheduler", type=_renamed, help=argparse.SUPPRESS)
    parser.add_argument(
        "--strength", type=cli.number, help="how much an image is changed, up to 1 (0.8 where not given)"
    )
    parser.add_argument("--negative-prompt", metavar="TEXT")
    parser.add_argument("--height", type=cli.positive, help="in pixels (the checkpoint's where not given)")
    parser.add_argument("--width", type=cli.positive, help="likewise; images and masks are resized")
    parser.add_argument("--num-images", type=cli.positive, default=1, help="images for each prompt")
    parser.add_argument("--batch-size", type=cli.positive, default=1, help="images made at a time")
    parser.add_argument("--seed", type=int, default=0)
    cli.add_precision_option(parser)
    cli.add_device_options(parser)
    cli.add_execution_option(parser)
    parser.add_argument("--output", required=True, type=cli.output_folder, metavar="DIR")
    cli.run(main, parser)
