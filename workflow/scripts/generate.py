"""Make images with any Stable Diffusion checkpoint, with or without DeepCache.

Text-to-image; with --images image-to-image; with --images and --masks inpainting (white is repainted). For Stable
Diffusion 1 and 2, BK-SDM and SDXL in diffusers' format. Run again, and only what is missing is made. The noise of image
j depends on the seed and j alone.
"""

import sys
import time
from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError
from deepcache.runs.method import Method

REUSE = ("hold", "zeros", *(f"forecast{order}" for order in range(1, 10)))


def main(arguments) -> None:
    """Check, load, make what is missing."""
    method = resolve_method(arguments)

    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from deepcache.data.pictures import list_pictures
    from deepcache.data.prompts import read_prompts
    from deepcache.devices import choose_device
    from deepcache.generation.checkpoints import find_checkpoint, load_pipeline
    from deepcache.generation.generation import Generation
    from deepcache.generation.image_folder import ImageFolder
    from deepcache.generation.request import Request
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.sampling.caching import cached_at
    from deepcache.sampling.families import PRECISIONS

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    precision = arguments.precision or ("float16" if device.type == "cuda" else "float32")
    strength = 0.8 if arguments.strength is None and arguments.images is not None else arguments.strength
    request = Request(
        prompts=read_prompts(arguments.prompts),
        images=None if arguments.images is None else list_pictures(arguments.images),
        masks=None if arguments.masks is None else list_pictures(arguments.masks),
        scheduler=arguments.scheduler,
        steps=arguments.steps,
        strength=strength,
        guidance_scale=arguments.guidance_scale,
        negative_prompt=arguments.negative_prompt,
        height=arguments.height,
        width=arguments.width,
        num_images=arguments.num_images,
        seed=arguments.seed,
    )
    folder, checksums = find_checkpoint(arguments.checkpoint)
    pipeline = load_pipeline(folder, request.task, device, PRECISIONS[precision])
    generation = Generation(pipeline, request)
    calls = generation.unet_calls
    full_steps = method.full_steps(generation.steps)
    settings = {
        "checkpoint": checksums,
        **generation.settings(),
        "method": method.slug,
        "batch_size": arguments.batch_size,
        "precision": precision,
    }
    about = {"prompts": list(request.prompts), "unet_calls": calls, "full_steps": list(full_steps)}
    with cached_at(pipeline, method, full_steps):
        output = ImageFolder(arguments.output, settings, about, len(request))
        missing = set(output.missing())
        indices = range(len(request))
        # A batch is made again as a whole, since rounding depends on what is in it; then its missing images are kept.
        batches = [indices[i : i + arguments.batch_size] for i in range(0, len(indices), arguments.batch_size)]
        batches = [batch for batch in batches if missing.intersection(batch)]
        if len(missing) < len(request):
            there = len(request) - len(missing)
            print(f"{arguments.output}: {there} of {len(request)} images are there already", file=sys.stderr)
        if not missing:
            return
        output.begin(provenance(device))
        start = time.perf_counter()
        with progress(None, f"{folder.name} {method.slug}", unit="step", total=len(batches) * calls) as bar:
            for batch in batches:
                images = generation.sample(batch, lambda step: bar.update())
                output.add(batch, images, time.perf_counter() - start)
    seconds, made = time.perf_counter() - start, sum(map(len, batches))
    print(
        f"{made} images in {seconds:.1f} s, {made / seconds:.3g} images/s, "
        f"{len(full_steps)} of {calls} steps full ({len(full_steps) / calls:.0%})",
        file=sys.stderr,
    )


def resolve_method(arguments) -> Method:
    """The method that the options name; interval 1 is `full`, whatever the others."""
    if arguments.schedule not in ("uniform", "nonuniform"):
        raise DeepCacheError(f"--schedule must be uniform or nonuniform, not {arguments.schedule!r}")
    if arguments.reuse not in REUSE:
        raise DeepCacheError(f"--reuse must be one of {', '.join(REUSE)}, not {arguments.reuse!r}")
    shape = {"center": arguments.center, "power": arguments.power}
    nonuniform = arguments.schedule == "nonuniform"
    for name, value in shape.items():
        if (value is not None) != nonuniform:
            problem = "is needed by" if nonuniform else "needs"
            raise DeepCacheError(f"--{name} {problem} --schedule nonuniform")
    if arguments.cache_interval == 1:
        return Method()
    return Method(arguments.schedule, arguments.cache_interval, arguments.cache_branch, reuse=arguments.reuse, **shape)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a folder in diffusers' format, or a manifest")
    parser.add_argument("--prompts", required=True, type=Path, metavar="FILE", help=".txt, .tsv or .json")
    parser.add_argument(
        "--images", type=Path, metavar="DIR_OR_FILE", help="to begin with: one a prompt, or one for all"
    )
    parser.add_argument("--masks", type=Path, metavar="DIR_OR_FILE", help="white is repainted; as large as the images")
    parser.add_argument("--cache-interval", type=cli.positive, default=1, metavar="N", help="1 is no caching")
    parser.add_argument("--cache-branch", type=int, default=0, metavar="B", help="where the U-Net is cut, from 0")
    parser.add_argument("--schedule", default="uniform", help="uniform or nonuniform (the paper's Eq. 7)")
    parser.add_argument("--center", type=int, metavar="STEP", help="c of a nonuniform schedule")
    parser.add_argument("--power", type=float, help="p of a nonuniform schedule")
    parser.add_argument("--reuse", default="hold", help="hold, zeros, forecast1 to forecast9")
    parser.add_argument("--scheduler", default="plms", help="ddim, pndm, plms, dpm++, euler or lms")
    parser.add_argument("--steps", type=cli.positive, default=50)
    parser.add_argument("--strength", type=float, help="how much an image is changed, up to 1 (0.8 where not given)")
    parser.add_argument("--guidance-scale", type=float, default=7.5)
    parser.add_argument("--negative-prompt", metavar="TEXT")
    parser.add_argument("--height", type=cli.positive, help="in pixels (the checkpoint's where not given)")
    parser.add_argument("--width", type=cli.positive, help="likewise; images and masks are resized")
    parser.add_argument("--num-images", type=cli.positive, default=1, help="images for each prompt")
    parser.add_argument("--batch-size", type=cli.positive, default=1, help="images made at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision",
        choices=["float32", "float16", "bfloat16"],
        help="where not given, float16 on a GPU, else float32",
    )
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="DIR")
    cli.run(main, parser)
