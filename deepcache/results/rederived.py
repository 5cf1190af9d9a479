"""Tables written anew, by the programs that wrote them, from what the runs say."""

import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deepcache.files import sha256
from deepcache.results.recorded import Recorded

FOLDER = "tables"
SCRIPTS = "workflow/scripts"
# Nothing else is run, since records may come from elsewhere, with the results. What is measured differs each time.
WRITES = tuple(f"{SCRIPTS}/{name}.py" for name in ("table", "diversity_table", "beyond/beyond_table"))
MEASURES = (f"{SCRIPTS}/beyond/forecast_cost.py",)
OUTPUT = "--output"
OWN = ("--log", "--record", "--code")  # options of the job


def rederive(records: Sequence[Recorded], root: Path) -> dict[str, str]:
    """SHA-256 of tables written anew, by their names.

    Args:
        records: of jobs; those that wrote something else, or measured what they wrote, are passed over.
        root: the project's folder.

    Returns:
        Of each file; an empty text where it is not written again: by a program that writes no tables, or one that
        refuses what it is told or reads, for reasons that it prints.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, record in enumerate(records):
            program, _, _ = record.code.partition("=")
            if program not in MEASURES and all(Path(name).parent.name == FOLDER for name in record.outputs):
                place = Path(folder, str(i))
                if program in WRITES and (arguments := _told(record, place)):
                    _run(root / program, arguments)
                made = {name: place / Path(name).name for name in record.outputs}
                found |= {name: sha256(file) if file.is_file() else "" for name, file in made.items()}
    return found


def _told(record: Recorded, folder: Path) -> list[str]:
    """A job's arguments without its own options, with its output in another folder; none where they are not a job's."""
    arguments = list(record.arguments)
    for option in (one for one in OWN if one in arguments):
        place = arguments.index(option)
        del arguments[place : place + 2]
    options = [word.partition("=")[0] for word in arguments]
    if any(one in options for one in OWN) or options.count(OUTPUT) != 1 or OUTPUT not in arguments[:-1]:
        return []
    output = arguments.index(OUTPUT) + 1
    arguments[output] = str(folder / Path(arguments[output]).name)
    return arguments


def _run(program: Path, arguments: list[str]) -> None:
    own = sys.argv
    try:
        sys.argv = [str(program), *arguments]
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit:
        pass  # it has said why, and what it did not write is missed
    finally:
        sys.argv = own
