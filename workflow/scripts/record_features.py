"""Record how a branch's feature moves over uncached trajectories: the Gram matrix and the importance of each step.

One recording serves plans of every interval, see calibrate.py.
"""

from pathlib import Path

from deepcache import cli
from deepcache.runs.sampler import Sampler


def main(arguments) -> None:
    """Sample without caching and keep the feature's products only."""
    import torch

    from deepcache.beyond.calibration.calibrate import record
    from deepcache.beyond.calibration.recording import write_recorded
    from deepcache.data.manifests import read_prompts
    from deepcache.devices import choose_device
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.sampling.families import load_model

    torch.set_num_threads(arguments.threads)
    sampler, device = Sampler.parse(arguments.sampler), choose_device(arguments.device)
    folder, manifest = open_checkpoint(arguments.checkpoint)
    model = load_model(folder, device, arguments.precision, arguments.prompts and read_prompts(arguments.prompts))
    size = arguments.batch_size
    batches = [range(i, min(i + size, arguments.images)) for i in range(0, arguments.images, size)]
    trajectories = len(batches) + arguments.points + 1
    name = f"{manifest['name']} branch {arguments.branch}"
    with progress(None, name, unit="step", total=trajectories * model.num_steps(sampler)) as bar:
        recorded = record(
            model, sampler, arguments.branch, batches, arguments.seed, arguments.points, lambda step: bar.update()
        )
    write_recorded(arguments.output, recorded, manifest, sampler, arguments.branch)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--sampler", default="ddim-100", help="such as ddim-100-quad, plms-50-cfg7.5")
    parser.add_argument("--branch", type=int, default=0, help="skip branch, from 0")
    parser.add_argument("--images", type=cli.positive, default=24, help="trajectories")
    parser.add_argument(
        "--batch-size", type=cli.positive, default=12, help="of which the features are in memory at once"
    )
    parser.add_argument("--points", type=cli.positive, default=12, help="steps whose importance is measured")
    parser.add_argument("--seed", type=int, default=7001, help="of the noise; not that of images to be measured")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, for text-to-image")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="NPZ")
    cli.run(main, parser)
