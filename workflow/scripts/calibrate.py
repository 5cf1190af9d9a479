"""Choose the full steps and the weights of kept features that err least, and write them as a plan.

Proposals (uniform, Eq. 7's and optimised steps; holding, forecasts, fitted weights) are sampled from noise of their own
and compared with uncached samples; each has as many full steps as the uniform schedule of the interval.
"""

from dataclasses import replace
from pathlib import Path

from deepcache import cli
from deepcache.runs.method import Method
from deepcache.runs.sampler import Sampler

# Centres, as shares of the trajectory, and power of Eq. 7's schedules among the proposals.
CENTERS, POWER = (0.25, 0.5), 1.2


def main(arguments) -> None:
    """Read the recording, sample the proposals, write the best."""
    import torch

    from deepcache.beyond.caching.plan import write_plan
    from deepcache.beyond.calibration.calibrate import calibrate
    from deepcache.beyond.calibration.recording import read_recorded
    from deepcache.data.manifests import read_prompts
    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.sampling.families import load_model

    sampler, method = Sampler.parse(arguments.sampler), Method.parse(arguments.method)
    if method.schedule != "chosen":
        raise DeepCacheError(f"--method {method.slug}: nothing to choose; it must look like chosen-n5-b2")
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    folder, manifest = open_checkpoint(arguments.checkpoint)
    recorded = read_recorded(arguments.recorded, manifest, sampler, method.branch)
    if recorded.seed == arguments.seed:
        raise DeepCacheError(f"--seed {arguments.seed}: the recording has the same; give another")
    model = load_model(folder, device, arguments.precision, arguments.prompts and read_prompts(arguments.prompts))
    length = sampler.schedule_length
    with progress(None, f"{manifest['name']} {method.slug}", unit="proposal") as bar:
        plan = calibrate(
            model,
            manifest,
            sampler,
            method.branch,
            method.interval,
            recorded,
            range(arguments.images),
            arguments.seed,
            arguments.precision,
            arguments.screened,
            [(int(share * length), POWER) for share in CENTERS],
            bar.update,
        )
    write_plan(arguments.output, replace(plan, calibration={**plan.calibration, **provenance(device)}))


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--sampler", default="ddim-100", help="such as ddim-100-quad, plms-50-cfg7.5")
    parser.add_argument(
        "--method", default="chosen-n5-b0", help="interval, which sets the number of full steps, and branch"
    )
    parser.add_argument("--recorded", required=True, type=Path, metavar="NPZ", help="what record_features.py wrote")
    parser.add_argument("--images", type=cli.positive, default=32, help="on which the finalists are compared")
    parser.add_argument("--screened", type=cli.positive, default=16, help="of these, on which all proposals are")
    parser.add_argument("--seed", type=int, default=7002, help="of the noise; not that of images to be measured")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, for text-to-image")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
