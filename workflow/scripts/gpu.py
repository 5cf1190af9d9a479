"""Try this project on a GPU that is there for minutes: tests, speed, tables, each under its own limit of seconds.

A part that runs beyond its limit is ended, what it wrote stays, and the next one runs. After each part `summary.md`
says what it came to and what was not reached. Nothing is downloaded. Status 1 if a part failed; a limit is no failure.
"""

import os
import signal
import sys
from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError

ROOT = Path(__file__).resolve().parents[2]


def main(arguments) -> None:
    """Run the parts of deepcache/results/gpu_parts.py into a folder of their own."""
    import shutil

    import torch

    from deepcache.devices import choose_device, only
    from deepcache.files import check_replaceable
    from deepcache.provenance import device_name, git_commit
    from deepcache.results.gpu_parts import DRY_LIMITS, LIMITS, gpu_parts
    from deepcache.results.parts import run_parts

    folder = arguments.output.resolve()
    device = choose_device("cpu" if arguments.dry else "cuda")
    os.environ.update(only(device))  # of the parts: all run on the GPU that is taken here
    check_replaceable(folder, "summary.md")
    shutil.rmtree(folder, ignore_errors=True)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # which ends what runs
    limits = arguments.limits or (DRY_LIMITS if arguments.dry else LIMITS)
    parts = gpu_parts(ROOT, folder, limits, arguments.cores, arguments.dry)
    about = {"device": device_name(device), "torch": torch.__version__, "commit": git_commit() or "unknown"}
    outcomes = run_parts(parts, folder / "summary.md", about)
    print(f"Everything lies in {arguments.output}, {folder / 'summary.md'} says what was not reached")
    if failed := [outcome.part for outcome in outcomes if outcome.failed]:
        raise DeepCacheError("failed: " + ", ".join(f"{part.name} (see {part.log})" for part in failed))


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--dry", action="store_true", help="on the CPU, small models: does it work at all?")
    parser.add_argument(
        "--limits",
        nargs=3,
        type=cli.positive_number,
        metavar="SECONDS",
        help="of tests, speed, workflow; default: 60 150 150",
    )
    parser.add_argument("--cores", type=cli.positive, default=os.cpu_count(), help="CPU cores for Snakemake")
    parser.add_argument(
        "--output", type=cli.output_folder, default=Path("results/gpu"), metavar="FOLDER", help="is made anew"
    )
    cli.run(main, parser)
