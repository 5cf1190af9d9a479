"""What the jobs of a suite have recorded: which file was made by which job, from which files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.job_record import MADE, PROJECT
from deepcache.json_values import read_object

FOLDER = "records"
KEYS = {"arguments": list, "code": str, "inputs": dict, "outputs": dict}
AGAIN = "delete it, and run again what made the files that are called unknown"


@dataclass(frozen=True)
class Recorded:
    """The record of a job, see deepcache.job_record.JobRecord.

    Attributes:
        path: where it lies.
        arguments: what its program was told.
        code: digests of the program's code, `file=digest` each, the program's own first.
        inputs: SHA-256 by name of what it read.
        outputs: the same of what it wrote.
    """

    path: Path
    arguments: list[str]
    code: str
    inputs: dict[str, str]
    outputs: dict[str, str]

    @property
    def rule(self) -> str:
        """The rule of the workflow that the job is of."""
        return self.path.parts[self.path.parts.index(MADE) + 3].removesuffix(".json")  # results/<suite>/records/<rule>


def read_records(results: Path) -> tuple[dict[str, Recorded], dict[str, str]]:
    """The records of a suite and of what it shares with others, by the names of the outputs.

    Args:
        results: `results/<suite>`, from the folder of the run.

    Returns:
        The records; and what is wrong with those that are damaged, by their own names.

    Raises:
        DeepCacheError: if there is none.
    """
    if not (results / FOLDER).is_dir():
        raise DeepCacheError(
            f"{results}: no {FOLDER}/ in it: name results/<suite> of a workflow that ran, in the folder where it ran"
        )
    found: dict[str, Recorded] = {}
    damaged: dict[str, str] = {}
    waiting, seen = [results], set()
    while waiting:
        place = waiting.pop()
        seen.add(place)
        for path in sorted((place / FOLDER).rglob("*.json")):
            try:
                record = _read(path)
            except DeepCacheError as error:
                damaged[str(path)] = str(error)
                continue
            found |= dict.fromkeys(record.outputs, record)
            waiting += {_suite(name) for name in record.inputs} - seen - {*waiting, None}
    return found, damaged


def walk(records: dict[str, Recorded], roots: Iterable[str]) -> dict[str, set[str]]:
    """All that some files rest on, themselves among it: by name, which of them rest on it."""
    found: dict[str, set[str]] = {}
    for root in roots:
        waiting = [root]
        while waiting:
            name = waiting.pop()
            if root not in found.setdefault(name, set()):
                found[name].add(root)
                waiting += records[name].inputs if name in records else ()
    return found


def place_of(name: str, root: Path) -> Path:
    """Where a file lies that a record names; `root` is the project's folder."""
    return root / name.removeprefix(f"{PROJECT}/") if name.startswith(PROJECT) else Path(name)


def _suite(name: str) -> Path | None:
    """`results/<suite>` of a file there; None for one elsewhere."""
    parts = Path(name).parts
    return Path(*parts[: parts.index(MADE) + 2]) if MADE in parts else None


def _read(path: Path) -> Recorded:
    content = read_object(path, tuple(KEYS), AGAIN)
    wrong = [key for key, kind in KEYS.items() if not isinstance(content[key], kind) or not _all_text(content[key])]
    if wrong:
        raise DeepCacheError(f"{path}: cannot be read (no job writes such {', '.join(wrong)}); {AGAIN}")
    return Recorded(path, **{key: content[key] for key in KEYS})


def _all_text(values: list | dict | str) -> bool:
    return all(isinstance(value, str) for value in (values.values() if isinstance(values, dict) else values))
