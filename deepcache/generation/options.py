"""generate.py's options that depend on the kind of checkpoint: checked, and made a request of."""

import argparse
from typing import TYPE_CHECKING

from deepcache.errors import DeepCacheError
from deepcache.generation.kinds import KINDS, Kind
from deepcache.sampler import NAMES

if TYPE_CHECKING:
    from deepcache.generation.request import Request

DEPENDENT = sorted({name for kind in KINDS for name in (kind.needs, *kind.takes)})
SAME = ("negative_prompt", "height", "width", "num_images", "seed")


def check_options(arguments: argparse.Namespace, kind: Kind) -> None:
    """Refuse what the kind of checkpoint does not take, and what it lacks, before anything is loaded.

    Raises:
        DeepCacheError: the message names the option.
    """
    if getattr(arguments, kind.needs) is None:
        raise DeepCacheError(f"--{kind.needs}: {kind.label} makes nothing without: give them")
    for name in DEPENDENT:
        if getattr(arguments, name) is not None and name not in (kind.needs, *kind.takes):
            raise DeepCacheError(f"--{name.replace('_', '-')}: {kind.label} takes none: leave it out")
    sampler = arguments.sampler
    if sampler in NAMES and sampler not in kind.samplers:  # an unknown one is the request's to refuse
        raise DeepCacheError(f"--sampler {sampler}: {kind.label} takes {', '.join(kind.samplers)}: give one of these")


def request_of(arguments: argparse.Namespace, kind: Kind, sampling: dict) -> "Request":
    """What is asked for.

    Args:
        arguments: the options, which `check_options` has let through.
        kind: of the checkpoint.
        sampling: `sampler`, `steps` and `guidance_scale`.

    Raises:
        DeepCacheError: if a file cannot be read, or as from `Request`.
    """
    from deepcache.data.pictures import list_pictures
    from deepcache.data.prompts import read_prompts
    from deepcache.generation.request import Request

    usual = dict(kind.usual)
    if "strength" in kind.takes and arguments.images is not None:
        usual["strength"] = 0.8
    own = ("strength", "handover", "frames", "fps")
    given = {name: getattr(arguments, name) for name in own}
    return Request(
        prompts=None if arguments.prompts is None else read_prompts(arguments.prompts),
        images=None if arguments.images is None else list_pictures(arguments.images),
        masks=None if arguments.masks is None else list_pictures(arguments.masks),
        **sampling,
        **{name: usual.get(name) if value is None else value for name, value in given.items()},
        **{name: getattr(arguments, name) for name in SAME},
    )
