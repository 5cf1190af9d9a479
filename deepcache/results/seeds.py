"""Runs that differ in their seed alone: image j of each is another image of the same prompt."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.runs.run import Run
from deepcache.sampling.shards import read_sidecar


@dataclass(frozen=True)
class SeedRun:
    """The run of one seed.

    Attributes:
        path: its sidecar, run.json.
        run: its identity, from the path.
        sidecar: what run.json says.
        clip: what its clip_score.json says.
        shared: by name, what it must have in common with the runs of other seeds.
    """

    path: Path
    run: Run
    sidecar: dict
    clip: dict
    shared: dict


def read_seeds(files: Iterable[tuple[Path, Path]]) -> list[SeedRun]:
    """Read the runs of several seeds, each as (run.json, clip_score.json), and return them in order of the seed.

    Raises:
        DeepCacheError: if a file is damaged, scores belong to another run, there are more images than prompts, the runs
            differ in more than their seed, a seed comes twice, or there is only one.
    """
    found = sorted((_read(*pair) for pair in files), key=lambda one: one.run.seed)
    first = found[0]
    if len(found) < 2:
        raise DeepCacheError(f"{first.path}: diversity needs runs of at least two seeds, but is given only this one")
    for before, one in pairwise(found):
        differing = sorted(key for key in {*first.shared, *one.shared} if first.shared.get(key) != one.shared.get(key))
        if differing:
            raise DeepCacheError(
                f"{first.path} and {one.path} differ in {', '.join(differing)}: they may differ in their seed alone"
            )
        if one.run.seed == before.run.seed:
            raise DeepCacheError(f"{before.path} and {one.path} have the same seed: give each seed once")
    return found


def about_seeds(seeds: Sequence[SeedRun]) -> dict:
    """What the runs of several seeds have in common, and their seeds, files, weights and devices, as plain values."""
    first = seeds[0]
    return {
        "model": first.run.model,
        "sampler": first.run.sampler.slug,
        "method": first.run.method.slug,
        "seeds": [one.run.seed for one in seeds],
        "images": first.sidecar["images"],
        "runs": [str(one.path) for one in seeds],
        "weights": sorted({one.sidecar["weights"] for one in seeds}),
        "devices": sorted({device for one in seeds for device in one.sidecar["devices"]}),
        "prompts": first.clip["prompts"],
        "clip": {"precision": first.clip["precision"], **first.clip["weights"]},
    }


def _read(path: Path, scored: Path) -> SeedRun:
    run, sidecar = Run.parse(path.absolute().parent), read_sidecar(path)
    missing = [key for key in ("settings", "weights", "devices") if key not in sidecar]
    if missing:
        raise DeepCacheError(f"{path}: not a readable run (has no {', '.join(missing)}); delete it and run again")
    try:
        clip = json.loads(scored.read_text(encoding="utf-8"))
        count, prompts = len(clip["scores"]), clip["prompts"]["prompts"]
        same = clip["settings_hash"] == sidecar["settings_hash"] and count == sidecar["images"]
        shared = {key: value for key, value in sidecar["settings"].items() if key != "seed"}
        shared |= {"model": run.model, "sampler": run.sampler.slug, "method": run.method.slug, "images": count}
        shared |= {"prompts": clip["prompts"]["fingerprint"]}
        shared |= {"CLIP weights": clip["weights"], "CLIP precision": clip["precision"]}
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{scored}: not readable CLIP scores ({error}); delete it and run again") from error
    if not same:
        raise DeepCacheError(f"{scored} does not hold the scores of {path}: delete it and run again")
    if count > prompts:
        raise DeepCacheError(f"{path} holds {count} images of {prompts} prompts: sample each prompt once")
    return SeedRun(path, run, sidecar, clip, shared)
