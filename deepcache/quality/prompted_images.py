"""Images and the prompts that they were made from."""

import json
from pathlib import Path

from deepcache.data import manifests
from deepcache.data.generated import RECORD, prompts_digest
from deepcache.data.prompts import read_prompts
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.quality.image_sets import ImageSet, open_folder, open_run
from deepcache.quality.numbered_names import check_numbered


def open_prompts(path: str | Path) -> tuple[list[str], dict]:
    """Read prompts from a dataset's manifest or straight from a prompt file; COCO's captions are JSON as well.

    Args:
        path: what deepcache.data.manifests or deepcache.data.prompts reads.

    Returns:
        The prompts; where they come from: the file that was named, their number, and the fingerprint of the prompt
        file, the same either way.

    Raises:
        DeepCacheError: if it is neither, or damaged.
    """
    path = Path(path)
    if _is_manifest(path):
        manifest = manifests.open_manifest(path)
        found, fingerprint = manifests.texts_of(manifest), manifest["fingerprint"]
    else:
        found, fingerprint = read_prompts(path), manifests.fingerprint(path)
    return found, {"file": str(path), "prompts": len(found), "fingerprint": fingerprint}


def open_prompted_run(path: Path, prompts: dict) -> ImageSet:
    """The images of a run that was made from these prompts, as far as the run says from which.

    Args:
        path: its sidecar, run.json.
        prompts: where they come from, as `open_prompts` returns it.

    Raises:
        DeepCacheError: if it was made from others, or as from `open_run`.
    """
    found = open_run(path)
    painted = found.sidecar.get("settings", {}).get("prompts")
    if painted not in (None, prompts["fingerprint"]):
        raise DeepCacheError(f"{path} was made from other prompts than those of {prompts['file']}")
    return found


def open_prompted_folder(path: Path, prompts: dict, texts: list[str]) -> ImageSet:
    """The images of a folder with one image for each prompt, in the order of the numbers in their names.

    Args:
        path: the folder; what generate.py wrote beside the images says of which prompts they are.
        prompts: see `open_prompted_run`.
        texts: the prompts themselves.

    Raises:
        DeepCacheError: if there are more images or fewer, they are of other prompts, their names tell no order, or as
            from `open_folder`.
    """
    found = open_folder(path)
    if found.count != prompts["prompts"]:
        raise DeepCacheError(
            f"{path} holds {found.count} images, but {prompts['file']} {prompts['prompts']} prompts: "
            "there must be one image for each prompt"
        )
    check_numbered(path, found.names)
    painted = _recorded_prompts(path / RECORD)
    if painted not in (None, prompts_digest(texts)):
        raise DeepCacheError(f"{path} was made from other prompts than those of {prompts['file']}, says its {RECORD}")
    return found


def _recorded_prompts(record: Path) -> str | None:
    try:
        return json.loads(record.read_text(encoding="utf-8"))["settings"]["prompts"] if record.exists() else None
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{record}: cannot be read ({error}); remove it to pair by names alone") from error


def _is_manifest(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    try:
        return "fingerprint" in json.loads(path.read_text(encoding="utf-8"))
    except (*UNREADABLE, TypeError):
        return False  # the reader of captions says what is wrong with it
