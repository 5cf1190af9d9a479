"""Sample every way to cache at one interval and branch, from the same noises, and compare with the uncached images.

Keeps no images: for each way the squared error of every image, FID and CLIP score.
"""

from pathlib import Path

from deepcache import cli
from deepcache.runs.sampler import Sampler


def main(arguments) -> None:
    """Load once, then sample way by way, seed by seed."""
    import numpy as np
    import torch

    from deepcache.beyond.caching.plan import read_plan
    from deepcache.beyond.calibration.choose import SampledError
    from deepcache.beyond.calibration.recording import read_recorded
    from deepcache.beyond.comparison.compared import Comparison
    from deepcache.beyond.comparison.contenders import contenders, watch
    from deepcache.caching.engine import DeepCache
    from deepcache.data.manifests import read_prompts
    from deepcache.devices import choose_device
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.sampling.families import load_model

    torch.set_num_threads(arguments.threads)
    sampler, device, branch = Sampler.parse(arguments.sampler), choose_device(arguments.device), arguments.branch
    folder, manifest = open_checkpoint(arguments.checkpoint)
    recorded = read_recorded(arguments.recorded, manifest, sampler, branch)
    plan = read_plan(arguments.plan, manifest, sampler.slug, branch)
    prompts = arguments.prompts and read_prompts(arguments.prompts)
    model = load_model(folder, device, arguments.precision, prompts)
    scored = arguments.reference, arguments.extractor, arguments.extractor_weights, arguments.clip
    comparison = Comparison.load(device, *scored, prompts)

    def sample(seed: int) -> np.ndarray:
        return model.sample(range(arguments.images), seed, sampler)

    seed = recorded.seed + 1
    watched = watch(model, sampler, branch, range(arguments.screened), recorded.seed)
    error = SampledError(model, sampler, branch, recorded.gram, range(arguments.screened), seed)
    eq7 = [(int(share * sampler.schedule_length), power) for share in arguments.centers for power in arguments.powers]
    ways = list(contenders(recorded, watched, sampler, arguments.interval, error, eq7, plan))
    uncached = [sample(seed) for seed in arguments.seeds]
    every = [list(range(len(recorded.gram)))]
    methods = [{"schedule": "full", "reuse": "hold", "full_steps": every, **comparison.measure(uncached, uncached)}]
    name = f"{manifest['name']} branch {branch} N={arguments.interval}"
    for way in progress(ways, name, unit="method"):
        images, full_steps = [], {}
        with DeepCache(model.unet, schedule=way.full_steps, branch=branch, reuse=way.make_reuse()) as cache:
            for one in arguments.seeds:
                cache.start_trajectory()
                images.append(sample(one))
                full_steps[cache.full_steps] = None
        found = {"schedule": way.schedule, "reuse": way.reuse, "full_steps": [list(steps) for steps in full_steps]}
        if way.schedule == "chosen":
            found |= {"picked_schedule": plan.calibration["steps"], "picked_reuse": plan.calibration["prediction"]}
        methods.append({**found, **comparison.measure(images, uncached)})
    write_json(
        arguments.output,
        {
            "model": arguments.name,
            "sampler": sampler.slug,
            "steps": sampler.steps,
            "schedule_length": sampler.schedule_length,
            "branch": branch,
            "interval": arguments.interval,
            "seeds": arguments.seeds,
            "images": arguments.images,
            "weights": manifest["source"],
            "methods": methods,
            **provenance(device),
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--name", required=True, metavar="MODEL", help="what the tables call the model")
    parser.add_argument("--sampler", default="ddim-100", help="such as ddim-100-quad, plms-50-cfg7.5")
    parser.add_argument("--branch", type=int, default=0, help="skip branch, from 0")
    parser.add_argument("--interval", type=cli.positive, default=5, help="N, which sets the number of full steps")
    parser.add_argument("--recorded", required=True, type=Path, metavar="NPZ", help="what record_features.py wrote")
    parser.add_argument("--plan", required=True, type=Path, metavar="JSON", help="what calibrate.py wrote")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of the images' noise")
    parser.add_argument("--images", type=cli.positive, default=32, help="of each seed, in one batch")
    parser.add_argument("--screened", type=cli.positive, default=16, help="of the calibration, for Eq. 7 and affine")
    parser.add_argument("--centers", type=float, nargs="+", default=[0.25, 0.5, 0.75], help="shares of T, for Eq. 7")
    parser.add_argument("--powers", type=float, nargs="+", default=[1.2, 1.4], help="for Eq. 7")
    parser.add_argument("--reference", type=Path, metavar="NPZ", help="reference statistics, for FID")
    parser.add_argument("--extractor", metavar="KIND", help="kind of the reference's features")
    parser.add_argument("--extractor-weights", type=Path, metavar="JSON", help="manifest of the extractor's weights")
    parser.add_argument("--clip", type=Path, metavar="JSON", help="manifest of the CLIP model, for the CLIP score")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, for text-to-image")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
