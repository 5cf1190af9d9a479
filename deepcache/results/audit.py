"""An audit: whether every table and picture of a suite still rests on what it was made from."""

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from deepcache.data.manifests import open_manifest
from deepcache.errors import DeepCacheError
from deepcache.files import sha256
from deepcache.imports import code_digest
from deepcache.job_record import MADE
from deepcache.json_values import read_object
from deepcache.models.checkpoints import open_checkpoint
from deepcache.progress import progress
from deepcache.results.recorded import Recorded, place_of, read_records, walk
from deepcache.results.rederived import rederive
from deepcache.runs.run import Run
from deepcache.sampling.shards import read_sidecar, settings_hash

SHOWN = ("tables", "figures")  # folders of what people look at, beside the suite's own folder
SUITE = "suite.json"  # its config
NOT_JOBS = (SUITE, "report.html")  # written by Snakemake and the shell
REMADE = "`snakemake FILE --cores 1` makes it again"
MANIFESTS = {"checkpoints": open_checkpoint, "datasets": open_manifest}  # by folder; opening one checks its files


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: `missing`, `changed` (by hand), `stale` (made from something else than is there now), `unknown` (no job
            made it), or `wrong` (it contradicts what it rests on).
        name: the file.
        problem: in words.
        behind: the tables and pictures that rest on it; of a damaged record, none: nobody knows.
    """

    kind: str
    name: str
    problem: str
    behind: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """What an audit looked at, and what it found.

    Attributes:
        shown: number of files of tables and pictures.
        runs: number of runs that they rest on.
        files: number of files that they rest on, themselves among them.
        not_kept: number of shards that the suite removes when they have been measured.
        rederived: number of files of tables that were written anew and compared.
        findings: what is wrong, by file.
    """

    shown: int
    runs: int
    files: int
    not_kept: int
    rederived: int
    findings: list[Finding]


def audit(results: Path, root: Path) -> Audit:
    """Go from every table and picture down to runs, settings, checkpoints, references and code, and check them all.

    Args:
        results: `results/<suite>`, from the folder of the run.
        root: the project's folder.

    Raises:
        DeepCacheError: if there are no records of jobs, no table and no picture, or if it is another folder.
    """
    results = Path(os.path.relpath(results))  # as records name it
    records, damaged = read_records(results)
    if results.parent != Path(MADE):
        raise DeepCacheError(f"{results}: name it as results/<suite>, in the folder where the workflow ran")
    shown = sorted({name for name in records if _is_shown(Path(name), results)} | _present(results))
    if not shown:
        raise DeepCacheError(f"{results}: no table and no picture there: make one first, such as table2")
    behind = walk(records, shown)
    not_kept = set() if _keeps_samples(results) else {name for name in behind if _is_lost_shard(Path(name))}
    look = _Look(records, root)
    found = {name: ("changed", problem.removeprefix(f"{name}: ")) for name, problem in damaged.items()}
    for name in progress(sorted(behind.keys() - not_kept), "audit", unit="file"):
        for problem in islice(look.problems(name), 1):
            found[name] = problem
    flawed = {root for name in found for root in behind.get(name, ())}
    made = {records[name].path: records[name] for name in shown if name in records}
    rederived = rederive([one for one in made.values() if not flawed & one.outputs.keys()], root)
    for name, digest in rederived.items():
        if look.checksum(name) != digest:
            found[name] = "wrong", f"written anew from what its runs say, it is another one: delete it; {REMADE}"
    return Audit(
        shown=len(shown),
        runs=len({Path(name).parent for name in behind if Path(name).parent.name.startswith("seed-")}),
        files=len(behind),
        not_kept=len(not_kept),
        rederived=len(rederived),
        findings=[
            Finding(kind, name, problem, tuple(sorted(behind.get(name, ()))))
            for name, (kind, problem) in sorted(found.items())
        ],
    )


class _Look:
    """Looks at one file after another."""

    def __init__(self, records: dict[str, Recorded], root: Path):
        self._records, self._root = records, root
        self._read_by: dict[str, dict[str, str]] = {}  # the rule that read a file, by file and checksum
        for record in records.values():
            for name, digest in record.inputs.items():
                self._read_by.setdefault(name, {})[digest] = record.rule

    @functools.cache  # noqa: B019 - lives as long as the audit
    def checksum(self, name: str) -> str | None:
        """Of the file as it is now; None where there is none."""
        place = place_of(name, self._root)
        return sha256(place) if place.is_file() else None

    def problems(self, name: str) -> Iterator[tuple[str, str]]:
        """What is wrong with a file, in the order of importance: the kind and the problem of a Finding."""
        record = self._records.get(name)
        if self.checksum(name) is None:
            yield "missing", f"{record.rule} wrote it: {REMADE}" if record else "restore it"
        elif record is not None and self.checksum(name) != record.outputs[name]:
            yield "changed", f"it is not what {record.rule} wrote: delete it; {REMADE}"
        elif record is None and MADE in Path(name).parts:
            yield "unknown", "no job's record names it: delete it, or run again what makes it"
        elif record is None:
            for digest, rule in self._read_by.get(name, {}).items():
                if self.checksum(name) != digest:
                    yield "changed", f"it is not what {rule} read: restore it, or run again"
        else:
            yield from self._stale(record)
            yield from self._contradictions(Path(name))

    def _stale(self, record: Recorded) -> Iterator[tuple[str, str]]:
        for name, digest in record.inputs.items():
            # One that is missing, changed or nobody's is named itself.
            own = self._records.get(name)
            if own is not None and digest != self.checksum(name) == own.outputs[name]:
                yield "stale", f"{record.rule} made it from another {name}: run again"
        if not record.code:
            yield "unknown", f"{record.rule} recorded no code: run again"
        for part in record.code.split():
            file, _, digest = part.partition("=")
            if not (self._root / file).is_file() or code_digest(self._root / file, self._root) != digest:
                yield "stale", f"made by other code: {file}, or something that it imports, has changed: run again"

    def _contradictions(self, path: Path) -> Iterator[tuple[str, str]]:
        try:
            if path.suffix == ".json" and path.parent.name in MANIFESTS:
                MANIFESTS[path.parent.name](path)
            elif re.fullmatch(r"run(-[0-9]+)?\.json", path.name):
                sidecar, run = read_sidecar(path), Run.parse(path.parent)
                named = {"sampler": run.sampler.slug, "method": run.method.slug, "seed": run.seed}
                if settings_hash(sidecar["settings"]) != sidecar["settings_hash"]:
                    yield "wrong", "its settings have another hash than it says"
                for key, value in named.items():
                    if sidecar["settings"][key] != value:
                        yield "wrong", f"it lies in the folder of {value}, its {key} is {sidecar['settings'][key]}"
        except DeepCacheError as error:
            yield "changed", str(error)


def _is_shown(path: Path, results: Path) -> bool:
    """Whether people look at it: a table, a picture, the summary."""
    return path.parent == results or (path.parent.parent == results and path.parent.name in SHOWN)


def _present(results: Path) -> set[str]:
    """Files where tables and pictures lie."""
    files = (path for folder in (results, *(results / name for name in SHOWN)) for path in folder.glob("[!.]*"))
    return {str(path) for path in files if path.is_file() and path.name not in NOT_JOBS}


def _keeps_samples(results: Path) -> bool:
    """Whether the suite's config, where it was written down, keeps samples."""
    try:
        return read_object(results / SUITE).get("keep_samples", True)
    except DeepCacheError:
        return True


def _is_lost_shard(path: Path) -> bool:
    return path.parent.name == "shards" and not path.exists()
