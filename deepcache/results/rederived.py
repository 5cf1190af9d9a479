"""Tables written anew, by the programs that wrote them, from what the runs say."""

import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deepcache.files import sha256
from deepcache.results.recorded import Recorded

FOLDER = "tables"
OUTPUT = "--output"
OWN = ("--log", "--record", "--code")  # options of the job


def rederive(records: Sequence[Recorded], root: Path) -> dict[str, str]:
    """SHA-256 of tables written anew, by their names.

    Args:
        records: of jobs; those that wrote no tables, or cannot be told where to, are passed over, and so are those that
            read nothing: they measured what they wrote, and times come out another way each time.
        root: the project's folder.

    Returns:
        Of each file; of those of a program that refuses what it reads, for reasons that it prints, an empty text.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, record in enumerate(records):
            writes_tables = all(Path(name).parent.name == FOLDER for name in record.outputs)
            if record.inputs and OUTPUT in record.arguments and writes_tables:
                found |= _rederived(record, Path(folder, str(i)), root)
    return found


def _rederived(record: Recorded, folder: Path, root: Path) -> dict[str, str]:
    arguments = list(record.arguments)
    for option in (one for one in OWN if one in arguments):
        place = arguments.index(option)
        del arguments[place : place + 2]
    output = arguments.index(OUTPUT) + 1
    arguments[output] = str(folder / Path(arguments[output]).name)
    own = sys.argv
    try:
        program, _, _ = record.code.partition("=")
        sys.argv = [str(root / program), *arguments]
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit:
        return dict.fromkeys(record.outputs, "")
    finally:
        sys.argv = own
    return {name: sha256(folder / Path(name).name) for name in record.outputs}
