"""Timing and sampling peers of caching, beside the uncached model."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from deepcache.beyond.comparison.compared import Comparison
from deepcache.beyond.comparison.peers import (
    Peer,
    average_macs,
    fewer_steps,
    merging,
    nearest_merging,
    read_full_macs,
    read_targets,
)
from deepcache.beyond.comparison.token_merging import PACKAGE, merging_version
from deepcache.cost.speed_up import speed_up
from deepcache.cost.timing import Timing, measure
from deepcache.progress import progress
from deepcache.sampling.request import Request
from deepcache.sampling.unrounded import Unrounded, sample_unrounded


def compare_peers(request: Request, comparison: Comparison, arguments: argparse.Namespace) -> dict:
    """Time the peers that peers.py's options ask for, interleaved, then sample peer by peer, seed by seed.

    Args:
        request: the model and its sampler.
        comparison: what is measured of the images.
        arguments: what peers are to be as fast as, how they are timed, and on how many images they are compared.

    Returns:
        `seconds_per_image` without caching, the version of the package that merges tokens, and of each of the `peers`
        its setting, MACs, time, speed, the speed that it was to have, and what Comparison.measure tells.

    Raises:
        DeepCacheError: if a file is damaged, or does not tell what is asked for.
    """
    sampler, full_g = request.sampler, read_full_macs(arguments.macs)
    targets = read_targets(arguments.timing, arguments.name, sampler, arguments.variants)
    merger = merging_version() if request.prompts else None
    if request.prompts and merger is None:
        print(f"{PACKAGE} is not installed: no token merging", file=sys.stderr)
    uncached = Peer("full", sampler.slug, sampler)
    peers = fewer_steps(request.model, sampler, targets)
    candidates = merging(sampler, arguments.merge_ratios) if merger else []
    timed = _timed(request, [uncached, *peers, *candidates], arguments.batch_size, arguments.repeats)
    speeds = {label: speed_up(timed[uncached.label].seconds, one.seconds) for label, one in timed.items()}
    peers += nearest_merging(candidates, speeds, targets)
    sample = _sampler(request, arguments.seeds, arguments.images)
    others = sample(uncached)
    found = [
        {
            **_about(peer, timed, speeds, arguments.batch_size),
            "macs_g": average_macs(peer, full_g, sampler),
            **comparison.measure(sample(peer), others),
        }
        for peer in progress(peers, f"{request.manifest['name']} peers", unit="peer")
    ]
    return {
        "seconds_per_image": timed[uncached.label].median / arguments.batch_size,
        PACKAGE: merger,
        "peers": found,
    }


def _timed(request: Request, peers: Sequence[Peer], batch_size: int, repeats: int) -> dict[str, Timing]:
    """The time of a batch with each peer, by its label, interleaved."""

    def trajectory(peer: Peer) -> Callable[[], None]:
        def run() -> None:
            with peer.applied(request.model):
                request.model.sample(range(batch_size), 0, peer.sampler)

        return run

    variants = {peer.label: trajectory(peer) for peer in peers}
    total = len(variants) * (repeats + 1)
    with progress(None, f"{request.manifest['name']} timing", unit="run", total=total) as bar:
        return measure(variants, repeats, request.device, lambda name: bar.update())


def _sampler(request: Request, seeds: Sequence[int], images: int) -> Callable[[Peer], list[Unrounded]]:
    """What samples a peer's images, of each seed."""

    def sample(peer: Peer) -> list[Unrounded]:
        found = []
        for seed in seeds:
            with peer.applied(request.model, seed):
                found.append(sample_unrounded(request.model, range(images), seed, peer.sampler))
        return found

    return sample


def _about(peer: Peer, timed: Mapping[str, Timing], speeds: Mapping[str, float], batch_size: int) -> dict:
    return {
        "label": peer.label,
        "group": peer.group,
        "interval": peer.target.interval,
        "sampler": peer.sampler.slug,
        "seconds_per_image": timed[peer.label].median / batch_size,
        "spread": timed[peer.label].spread,
        "speed": speeds[peer.label],
        "target_speed": peer.target.speed,
    }
