"""Download repositories from the Hugging Face hub at a pinned commit, whole or not at all."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, constants, errors, get_cached_repo_tree, snapshot_download
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import filter_repo_objects, logging
from huggingface_hub.utils import tqdm as hub_tqdm

from deepcache.data.backoff import BACKOFF, Backoff
from deepcache.data.disk import check_space, disk_error
from deepcache.data.urls import shown
from deepcache.errors import DeepCacheError
from deepcache.files import write_json
from deepcache.progress import stream_options

BYTES_BAR = "huggingface_hub.snapshot_download"  # of the library's three bars, the one of the bytes written
INSTEAD = "or use `source: local` with a folder that holds the files"


def download_repository(
    repo_id: str,
    revision: str,
    folder: str | Path,
    allow_patterns: list[str] | None = None,
    *,
    backoff: Backoff = BACKOFF,
) -> None:
    """Download a model repository, or some of its files; the folder appears only when all are there and right.

    Every file is compared with the checksum that the commit lists. Files of a download that broke off are not fetched
    again. A folder that holds all of them is left as it is, without a connection. The environment's HF_ENDPOINT,
    HF_TOKEN (or the stored token) and HF_HUB_OFFLINE are obeyed.

    Args:
        repo_id: `owner/name`.
        revision: the commit, 40 hexadecimal digits: a branch or tag may name other files tomorrow.
        folder: where to put the files.
        allow_patterns: download only files that match one of these, as in `unet/*.safetensors`.
        backoff: how often to try again where the server is busy in the middle of the download.

    Raises:
        DeepCacheError: if the repository cannot be had, has no such files, or does not fit on the disk.
    """
    folder = Path(folder)
    name = f"{repo_id} at {revision}"
    if re.fullmatch("[0-9a-f]{40}", revision) is None:
        raise DeepCacheError(
            f"{repo_id}: revision {revision!r} is no commit: give 40 hexadecimal digits, for a branch or tag may move"
        )
    partial = folder.with_name(f"{folder.name}.{revision[:8]}.partial")
    try:
        if _is_complete(repo_id, revision, folder, allow_patterns):
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DeepCacheError(f"{folder}: does not hold (all of) {name}: remove it or choose another folder")
        partial.mkdir(parents=True, exist_ok=True)
        wanted = _list_files(repo_id, revision, allow_patterns)
        check_space(partial, sum(file.size for file in wanted if not _has(partial, file)))
        _fetch(repo_id, revision, partial, allow_patterns, backoff)
        _verify(repo_id, revision, partial, wanted)
        partial.replace(folder)
    except (errors.HTTPError, errors.EntryNotFoundError, errors.HFValidationError, OSError, RuntimeError) as error:
        raise _explained(error, name, partial) from error


def resolve_revision(repo_id: str, revision: str, folder: str | Path) -> str:
    """The commit that a branch or tag names, which is noted beside the folder and stays the same from then on.

    Args:
        repo_id: `owner/name`.
        revision: a commit, which is returned as it is, or the name of a branch or tag.
        folder: where the repository will be put.

    Raises:
        DeepCacheError: if the hub does not answer or knows no such revision.
    """
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    folder = Path(folder)
    note, asked = folder.with_name(f"{folder.name}.revision.json"), {"repository": repo_id, "revision": revision}
    with suppress(OSError, ValueError):
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted.items() >= asked.items():
            return noted["commit"]
    try:
        commit = HfApi().model_info(repo_id, revision=revision).sha
        write_json(note, {**asked, "commit": commit})
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        raise _explained(error, f"{repo_id} at {revision}", note) from error
    return commit


def _is_complete(repo_id: str, revision: str, folder: Path, patterns: list[str] | None) -> bool:
    """Whether an earlier download is all here, by the listing that the library left in the folder."""
    try:
        listing = get_cached_repo_tree(repo_id, revision=revision, local_dir=folder)
    except errors.CachedRepoTreeNotFoundError:
        return False
    wanted = _matching(listing, patterns)
    return bool(wanted) and all(_has(folder, file) for file in wanted)


def _has(folder: Path, file: RepoFile) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.size


def _matching(listing: list[RepoFile], patterns: list[str] | None) -> list[RepoFile]:
    return list(filter_repo_objects(listing, allow_patterns=patterns, key=lambda file: file.path))


def _list_files(repo_id: str, revision: str, patterns: list[str] | None) -> list[RepoFile]:
    entries = HfApi().list_repo_tree(repo_id, revision=revision, recursive=True)
    wanted = _matching([entry for entry in entries if isinstance(entry, RepoFile)], patterns)
    if not wanted:
        what = "has no files" if patterns is None else f"has no file that matches {', '.join(patterns)}"
        raise DeepCacheError(f"{repo_id} at {revision} {what}: correct the revision or the patterns")
    for file in wanted:
        if PurePosixPath(file.path).is_absolute() or ".." in PurePosixPath(file.path).parts:
            raise DeepCacheError(f"{repo_id} at {revision}: refused: {file.path!r} would lie outside the folder")
    return wanted


def _fetch(repo_id: str, revision: str, partial: Path, patterns: list[str] | None, backoff: Backoff) -> None:
    failures = 0
    while True:
        try:
            with _one_bar(repo_id) as bar_class, _no_warnings():
                snapshot_download(
                    repo_id, revision=revision, local_dir=partial, allow_patterns=patterns, tqdm_class=bar_class
                )
            return
        except errors.HTTPError as error:
            # The library tries again where a connection breaks, but gives up on a file at the first 503.
            status = _status(error)
            if status is not None and status != 429 and status < 500:
                raise
            failures += 1
            reason = "connection failed" if status is None else f"the hub answers {status}"
            backoff.wait(f"{repo_id} at {revision}", reason, failures)


def _verify(repo_id: str, revision: str, partial: Path, wanted: list[RepoFile]) -> None:
    """Compare sizes and checksums: the library may return a folder as it is when the hub does not answer."""
    found = HfApi().verify_repo_checksums(repo_id, revision=revision, local_dir=partial)
    missing = sorted({file.path for file in wanted} & set(found.missing_paths))
    for mismatch in found.mismatches:
        (partial / mismatch["path"]).unlink()  # or the library would take it for the right one the next time
    bad = [f"{m['path']} (expected {m['algorithm']} {m['expected']}, found {m['actual']})" for m in found.mismatches]
    if missing or bad:
        raise DeepCacheError(f"{repo_id} at {revision}: wrong or missing {', '.join(bad + missing)}: run again")


@contextmanager
def _one_bar(description: str) -> Iterator[type[hub_tqdm]]:
    """A class for the library's progress bars of which one is shown, in bytes, drawn as all our bars are."""
    shown = []

    class Bar(hub_tqdm):
        def __init__(self, *args, name: str | None = None, **options):
            options |= {"desc": description, "disable": name != BYTES_BAR, **stream_options()}
            super().__init__(*args, name=name, **options)
            shown.append(self)

        def set_description(self, *args, **kwargs) -> None:
            """Keep ours: the library's words change in the course of the download."""

    try:
        yield Bar
    finally:
        for bar in shown:
            bar.close()


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence the library's warnings, which quote signed addresses of files: those open the files to any reader."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None


def _explained(error: Exception, name: str, partial: Path) -> DeepCacheError:
    """One line out of what the library raised: what happened and what to do."""
    if isinstance(error, RuntimeError):  # of hf_xet, whose message may quote signed addresses
        return DeepCacheError(f"{name}: the transfer failed: run again, with HF_HUB_DISABLE_XET=1 over plain HTTP")
    chain = list(_chain(error))
    answered = next((link for link in chain if isinstance(link, errors.HfHubHTTPError)), None)
    if any(isinstance(link, errors.OfflineModeIsEnabled) for link in chain):
        return DeepCacheError(f"{name}: HF_HUB_OFFLINE is set and the files are not here: unset it, {INSTEAD}")
    if answered is not None:
        return DeepCacheError(f"{name}: {_answer(answered)}, {INSTEAD}")
    if isinstance(error, errors.HFValidationError):
        return DeepCacheError(f"{name}: not a repository's name: write owner/name, {INSTEAD}")
    if isinstance(error, errors.HTTPError | errors.EntryNotFoundError):
        return DeepCacheError(
            f"{name}: no connection to {shown(constants.ENDPOINT)}: check the network and HF_ENDPOINT, {INSTEAD}"
        )
    return disk_error(partial, error)


def _answer(error: errors.HfHubHTTPError) -> str:
    if isinstance(error, errors.GatedRepoError):
        return "access is restricted: accept the conditions on its page and set HF_TOKEN"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such commit: correct the revision"
    status = _status(error)
    if status in (401, 403):
        return f"the hub answers {status}, there is no such repository or it is private: check the name, set HF_TOKEN"
    if status == 404:
        return "the hub answers 404, there is no such repository or file: check the name and the revision"
    return f"the hub answers {status}: try again later"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
