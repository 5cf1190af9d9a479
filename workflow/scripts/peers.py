"""Compare fewer steps (DDIM, DPM-Solver++) and token merging with holding at the same measured time.

Each gets as many steps as holding left time for, as --timing tells, and all are timed anew, interleaved, on an
otherwise idle machine. Their images, from the noises of the model's own sampler, are compared with that one's without
caching: the squared error of every image, FID and CLIP score. Keeps no images. Tokens are merged in text-to-image
models, where tomesd is installed.
"""

import sys
from pathlib import Path

from deepcache import cli
from deepcache.runs.sampler import Sampler


def main(arguments) -> None:
    """Load once, time all interleaved, then sample peer by peer, seed by seed."""
    import torch

    from deepcache.beyond.comparison.compared import Comparison
    from deepcache.beyond.comparison.peers import (
        Peer,
        average_macs,
        fewer_steps,
        merging,
        nearest_merging,
        read_full_macs,
        read_targets,
        speed,
    )
    from deepcache.beyond.comparison.token_merging import PACKAGE, merging_version
    from deepcache.cost.timing import measure
    from deepcache.data.manifests import read_prompts
    from deepcache.devices import choose_device
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.sampling.families import load_model

    torch.set_num_threads(arguments.threads)
    sampler, device = Sampler.parse(arguments.sampler), choose_device(arguments.device)
    targets = read_targets(arguments.timing, arguments.name, sampler, arguments.variants)
    full_g = read_full_macs(arguments.macs)
    folder, manifest = open_checkpoint(arguments.checkpoint)
    prompts = arguments.prompts and read_prompts(arguments.prompts)
    model = load_model(folder, device, arguments.precision, prompts)
    scored = arguments.reference, arguments.extractor, arguments.extractor_weights, arguments.clip
    comparison = Comparison.load(device, *scored, prompts)

    merger = merging_version() if prompts else None
    if prompts and merger is None:
        print(f"{PACKAGE} is not installed: no token merging", file=sys.stderr)
    peers = fewer_steps(model, sampler, targets)
    candidates = merging(sampler, arguments.merge_ratios) if merger else []

    def trajectory(peer: Peer):
        def run() -> None:
            with peer.applied(model):
                model.sample(range(arguments.batch_size), 0, peer.sampler)

        return run

    uncached = Peer("full", sampler.slug, sampler)
    variants = {peer.label: trajectory(peer) for peer in (uncached, *peers, *candidates)}
    total = len(variants) * (arguments.repeats + 1)
    with progress(None, f"{manifest['name']} timing", unit="run", total=total) as bar:
        timed = measure(variants, arguments.repeats, device, lambda name: bar.update())
    speeds = {label: speed(timed[uncached.label], one) for label, one in timed.items()}
    peers += nearest_merging(candidates, speeds, targets)

    def sample(peer: Peer) -> list:
        images = []
        for seed in arguments.seeds:
            with peer.applied(model, seed):
                images.append(model.sample(range(arguments.images), seed, peer.sampler))
        return images

    others = sample(uncached)
    found = [
        {
            "label": peer.label,
            "group": peer.group,
            "interval": peer.target.interval,
            "sampler": peer.sampler.slug,
            "macs_g": average_macs(peer, full_g, sampler),
            "seconds_per_image": timed[peer.label].median / arguments.batch_size,
            "spread": timed[peer.label].spread,
            "speed": speeds[peer.label],
            "target_speed": peer.target.speed,
            **comparison.measure(sample(peer), others),
        }
        for peer in progress(peers, f"{manifest['name']} peers", unit="peer")
    ]
    write_json(
        arguments.output,
        {
            "model": arguments.name,
            "sampler": sampler.slug,
            "seeds": arguments.seeds,
            "images": arguments.images,
            "weights": manifest["source"],
            "batch_size": arguments.batch_size,
            "repeats": arguments.repeats,
            "seconds_per_image": timed[uncached.label].median / arguments.batch_size,
            PACKAGE: merger,
            "peers": found,
            **provenance(device),
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--name", required=True, metavar="MODEL", help="what the tables call the model")
    parser.add_argument("--sampler", default="ddim-100", help="such as ddim-100-quad, plms-50-cfg7.5")
    parser.add_argument("--timing", required=True, type=Path, metavar="JSON", help="what time_models.py wrote")
    parser.add_argument(
        "--variants", required=True, nargs="+", metavar="MODEL/SAMPLER/METHOD", help="holding, one for each interval"
    )
    parser.add_argument("--macs", required=True, type=Path, metavar="JSON", help="what model_macs.py wrote")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of the images' noise")
    parser.add_argument("--images", type=cli.positive, default=32, help="of each seed, in one batch")
    parser.add_argument("--batch-size", type=cli.positive, default=8, help="images in a trajectory that is timed")
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed repetitions after a warm-up")
    parser.add_argument(
        "--merge-ratios", type=float, nargs="*", default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75], help="of merged tokens"
    )
    parser.add_argument("--reference", type=Path, metavar="NPZ", help="reference statistics, for FID")
    parser.add_argument("--extractor", metavar="KIND", help="kind of the reference's features")
    parser.add_argument("--extractor-weights", type=Path, metavar="JSON", help="manifest of the extractor's weights")
    parser.add_argument("--clip", type=Path, metavar="JSON", help="manifest of the CLIP model, for the CLIP score")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, for text-to-image")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
