"""Make images or videos with any Stable Diffusion checkpoint, with or without DeepCache.

Text-to-image; with --images image-to-image; with --images and --masks inpainting (white is repainted). For Stable
Diffusion 1 and 2, BK-SDM and SDXL in diffusers' format; with --refiner, SDXL's refiner goes on from the base's latents.
Videos: from prompts with AnimateDiff, whole or as --motion-adapter; from --images with Stable Video Diffusion. They are
written as animated PNG. Run again, and only what is missing is made. The noise of image or video j depends on the seed
and j alone. With --plan or --speedup, a plan says which sampler, steps and layers run: one that tune.py made, or one
that is made now and kept for the next time.
"""

import argparse
from pathlib import Path

from deepcache import cli
from deepcache.beyond.tuning.options import add_sampling_options, check_planned, plan_of, sampling_of
from deepcache.generation.kinds import kind_of
from deepcache.generation.options import check_options, request_of
from deepcache.methods.options import add_caching_options, method_of


def main(arguments) -> None:
    """Check, load, make what is missing."""
    method = method_of(arguments)
    kind = kind_of(arguments.checkpoint, arguments.refiner, arguments.motion_adapter)
    check_options(arguments, kind)
    check_planned(arguments, method)

    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from deepcache.caching.execution import execution_of
    from deepcache.devices import choose_device, choose_precision
    from deepcache.generation.generate import generate
    from deepcache.generation.source import Source

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    precision = choose_precision(arguments.precision, device)
    plan = plan_of(arguments, device, precision)
    request = request_of(arguments, kind, sampling_of(arguments, plan, kind.usual))
    execution = execution_of(arguments.execution)
    place = arguments.output, device, precision, arguments.batch_size, execution
    parts = arguments.exported, arguments.refiner, arguments.motion_adapter
    generate(Source(arguments.checkpoint, arguments.variant, *parts), request, method, *place, plan)


def _renamed(value: str) -> None:
    raise argparse.ArgumentTypeError("it is called --sampler")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a folder in diffusers' format, or a manifest")
    parser.add_argument("--refiner", type=Path, metavar="DIR", help="of SDXL: likewise a checkpoint")
    parser.add_argument("--motion-adapter", type=Path, metavar="DIR", help="AnimateDiff's: makes videos")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help=".txt, .tsv or .json; not of videos from --images")
    parser.add_argument(
        "--images", type=Path, metavar="DIR_OR_FILE", help="to begin with: one a prompt, or one for all; one a video"
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
    parser.add_argument("--handover", type=cli.number, help="share after which --refiner goes on (0.8 where not given)")
    parser.add_argument("--negative-prompt", metavar="TEXT")
    parser.add_argument("--height", type=cli.positive, help="in pixels (the checkpoint's where not given)")
    parser.add_argument("--width", type=cli.positive, help="likewise; images and masks are resized")
    parser.add_argument("--frames", type=cli.positive, help="of a video; where not given, 16 or what it is trained for")
    parser.add_argument("--fps", type=cli.positive, help="of videos from --images (7 where not given)")
    parser.add_argument("--num-images", type=cli.positive, default=1, help="images or videos for each prompt")
    parser.add_argument("--batch-size", type=cli.positive, default=1, help="images or videos made at a time")
    parser.add_argument("--seed", type=int, default=0)
    cli.add_precision_option(parser)
    cli.add_device_options(parser)
    cli.add_execution_option(parser)
    parser.add_argument("--output", required=True, type=cli.output_folder, metavar="DIR")
    cli.run(main, parser)
