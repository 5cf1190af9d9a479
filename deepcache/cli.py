"""What every command-line program of the workflow shares: options, log file, errors in one line."""

import argparse
import inspect
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from deepcache.allocator import keep_memory
from deepcache.errors import DeepCacheError
from deepcache.execution_modes import MODES
from deepcache.job_record import JobRecord
from deepcache.progress import LOG_INTERVAL
from deepcache.running import end_with_workflow
from deepcache.shortages import shortage

ROOT = Path(__file__).resolve().parents[1]


class _Tee:
    """A text stream that writes to a terminal and to a log file, and looks like the terminal."""

    def __init__(self, terminal: TextIO, log: TextIO):
        self._terminal, self._log = terminal, log
        self._bar_logged = 0.0

    def write(self, text: str) -> int:
        if not text.startswith("\r"):
            self._log.write(text)
        elif time.monotonic() - self._bar_logged > LOG_INTERVAL:  # a bar overwrites itself many times a second
            self._log.write(text.strip("\r\n ") + "\n")
            self._bar_logged = time.monotonic()
        self._log.flush()
        return self._terminal.write(text)

    def flush(self) -> None:
        self._terminal.flush()

    def __getattr__(self, name):
        return getattr(self._terminal, name)


def _is_stderr(log: Path) -> bool:
    """Whether stderr goes to that file already, as in a job of the workflow: a tee would write all of it twice."""
    return log.exists() and os.path.samestat(os.fstat(2), log.stat())


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows defaults and has the option `--log`, which `run` obeys."""
    parser = argparse.ArgumentParser(
        description=inspect.cleandoc(description or ""),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="also write messages and progress to FILE")
    parser.add_argument("--record", type=Path, metavar="JSON", help="write there what was read and written, for audits")
    parser.add_argument("--code", default="", metavar="TEXT", help="digests of the program's code, for the record")
    return parser


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add `--device` (see deepcache.devices.choose_device) and `--threads`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads")


def add_precision_option(parser: argparse.ArgumentParser) -> None:
    """Add `--precision`, see deepcache.devices.choose_precision."""
    parser.add_argument(
        "--precision",
        choices=["float32", "float16", "bfloat16"],
        help="where not given, float16 on a GPU, else float32",
    )


def add_execution_option(parser: argparse.ArgumentParser) -> None:
    """Add `--execution`, see deepcache.caching.execution.execution_of."""
    parser.add_argument(
        "--execution", default="auto", choices=["auto", *MODES], help="how passes run; auto: replayed on a GPU"
    )


def number(text: str) -> float:
    """An argument's value that must be a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def positive_number(text: str) -> float:
    """An argument's value that must be a finite number above 0."""
    value = number(text)
    if value <= 0:
        raise ValueError
    return value


def natural(text: str) -> int:
    """An argument's value that must be an integer of at least 0."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """An argument's type: a path at which a file can be, found out before any work is done.

    Args:
        suffixes: with which its name may end, such as `.npz`, by which libraries choose the format; none: any.
    """

    def path(text: str) -> Path:
        found = Path(text)
        if found.is_dir() or not found.name:
            raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file")
        if suffixes and found.suffix not in suffixes:
            raise argparse.ArgumentTypeError(f"{text!r} must end in {' or '.join(suffixes)}")
        return output_folder(text)

    return path


def output_folder(text: str) -> Path:
    """An argument's value that must be a path at which a folder can be made."""
    path = Path(text)
    for parent in path.absolute().parents:
        if parent.exists() and not parent.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} would lie in {parent}, which is no folder")
    return path


figure_file = output_file(".png", ".pdf", ".svg")


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """The values of an option that takes NAME=VALUE; DeepCacheError names one that is none, or a name given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise DeepCacheError(f"{option} {text}: write NAME=VALUE")
        if name in found:
            raise DeepCacheError(f"{option} {text}: {name} is given twice")
        found[name] = value
    return found


def positive(text: str) -> int:
    """An argument's value that must be an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the arguments and call `main`; a DeepCacheError becomes one line on stderr and exit status 1."""
    arguments = parser.parse_args()
    end_with_workflow()
    keep_memory()
    terminal = sys.stderr
    try:
        if arguments.log is not None and not _is_stderr(arguments.log):
            arguments.log.parent.mkdir(parents=True, exist_ok=True)
            sys.stderr = _Tee(terminal, arguments.log.open("w", encoding="utf-8", errors="backslashreplace"))
        record = JobRecord(ROOT) if getattr(arguments, "record", None) else None
        main(arguments)
        if record is not None:
            record.write(arguments.record, arguments.code)
    except DeepCacheError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        import traceback

        if line := shortage(error):
            print(f"error: {line}", file=sys.stderr)
        else:
            traceback.print_exc(file=sys.stderr)
        sys.exit(1)
    finally:
        sys.stderr = terminal
