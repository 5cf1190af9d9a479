"""Kill a run again and again at random, and compare what it leaves with an undisturbed run.

    python tests/workflow/kills.py --kills 25 --seed 1

Tables 6 and 12 of the quick suite are made in two copies of the project. In one of them, at random times, a job, the
server that imports libraries, Snakemake or all of these together get SIGKILL; the same command is then given again.
In the end the tables must be the same to the last byte, times apart, the audit must find nothing, and no process and
no half-written file may be left. What was redone, although it had been finished before, is listed.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.same_tables import main as differing_tables  # noqa: E402
from tests.workflow.project import Project  # noqa: E402

SUITE = "quick"
TARGETS = ("table6", "table12")
VICTIMS = ("job", "server", "snakemake", "everything")
PATIENCE = 20.0  # seconds in which what a killed workflow had started must end
SOONEST = 2.0  # seconds between two kills; at the most, twice what spreads them over the run


def processes(project: Project) -> list[psutil.Process]:
    """All that work in the project's folder."""
    return [one for one in psutil.process_iter(["cwd", "cmdline"]) if one.info["cwd"] == str(project.folder)]


def kill(project: Project, running: subprocess.Popen, victim: str, choice: random.Random) -> bool:
    """SIGKILL; False if there is no such process at the moment."""
    if victim == "everything":
        os.killpg(running.pid, signal.SIGKILL)
        return True
    if victim == "snakemake":
        running.kill()
        return True
    serving = {True: "--serve", False: "--record"}[victim == "server"]
    found = [one for one in processes(project) if serving in one.info["cmdline"]]
    if not found:
        return False
    choice.choice(sorted(found, key=lambda one: one.pid)).kill()
    return True


def finished(project: Project) -> dict[str, int]:
    """When each job that is done recorded it, by the record's name."""
    folder = project.folder / "results"
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/records/**/*.json")}


def disturbed(project: Project, kills: int, latest: float, choice: random.Random) -> Iterator[str]:
    """Run until all is made, with so many kills; yields what was killed when, and what was redone."""
    command = project.command(*TARGETS, "--cores", "2", suite=SUITE)
    before: dict[str, int] = {}
    while True:
        log = (project.folder / "screen.log").open("ab")
        running = subprocess.Popen(command, cwd=project.folder, stdout=log, stderr=log, start_new_session=True)
        begun = time.monotonic()
        while kills and running.poll() is None:
            time.sleep(choice.uniform(SOONEST, latest))
            victim = choice.choice(VICTIMS)
            if running.poll() is None and kill(project, running, victim, choice):
                kills -= 1
                yield f"{time.monotonic() - begun:5.1f} s: {victim} killed, {len(finished(project))} jobs done"
                if victim in ("snakemake", "everything"):
                    break
        running.wait()
        deadline = time.monotonic() + PATIENCE
        while left := processes(project):
            if time.monotonic() > deadline:
                raise AssertionError(f"left behind: {[one.info for one in left]}")
            time.sleep(0.1)
        after = finished(project)
        redone = Counter(
            Path(name).parts[2].removesuffix(".json") for name, stamp in before.items() if after[name] != stamp
        )
        if redone:
            yield f"redone: {', '.join(f'{rule} {count}' for rule, count in redone.items())}"
        before = after
        if running.returncode == 0:
            break
    if kills:
        yield f"the run ended before {kills} more kills"


def main(kills: int, seed: int) -> int:
    """Number of faults, each of which is printed."""
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        projects = {}
        for name in ("undisturbed", "disturbed"):
            place = Path(folder, name)
            place.mkdir()
            projects[name] = Project(place)
        begun = time.monotonic()
        done = projects["undisturbed"].run(*TARGETS, "--cores", "2", suite=SUITE, timeout=3600)
        if done.returncode != 0:
            raise SystemExit(done.stdout)
        seconds = time.monotonic() - begun
        print(f"undisturbed: {len(finished(projects['undisturbed']))} jobs in {seconds:.0f} s", flush=True)
        for line in disturbed(projects["disturbed"], kills, 2 * seconds / max(kills, 1), random.Random(seed)):
            print(line, flush=True)
        one, other = (project.folder / "results" / SUITE for project in projects.values())
        faults += differing_tables(one, other)
        for left in other.rglob(".*partial*"):
            print(f"half-written: {left}")
            faults += 1
        audit = [sys.executable, "workflow/scripts/audit.py", f"results/{SUITE}"]
        place = projects["disturbed"].folder
        faults += subprocess.run(audit, cwd=place, env={**os.environ, "PYTHONPATH": str(place)}).returncode
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(main(**vars(parser.parse_args())) > 0)
