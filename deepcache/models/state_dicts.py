"""Whether a state dict has the keys of a model."""

from collections.abc import Collection, Sequence

from deepcache.errors import DeepCacheError

SHOWN = 4  # names in an error


def check_keys(found: Collection[str], expected: Sequence[str], kind: str) -> None:
    """Check that a state dict has the keys of a model and no others.

    Args:
        found: its keys.
        expected: those of the model, in the order in which missing ones are named.
        kind: what the model is.

    Raises:
        DeepCacheError: if keys are missing or unexpected, with the first few names and the counts.
    """
    known = set(found)
    faults = [
        f"{len(keys)} {word}: {', '.join(keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''}"
        for word, keys in (
            ("missing", [key for key in expected if key not in known]),
            ("unexpected", sorted(known.difference(expected))),
        )
        if keys
    ]
    if faults:
        raise DeepCacheError(f"keys of the state dict do not make {kind}: {'; '.join(faults)}")
