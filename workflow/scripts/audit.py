"""Check that every table and picture of a suite still rests on what it was made from.

Goes from each of them to runs, settings, seeds, checkpoints, references and code, and names what is stale, missing or
changed by hand; writes each table anew from what its runs say, and compares. Exits with status 1 if anything is found.
"""

import sys
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from deepcache import cli

NAMED = 3  # files that a line names, and tables and pictures behind which they are


def main(arguments) -> None:
    """Audit, and print a line for each kind of finding."""
    from deepcache.results.audit import audit

    done = audit(arguments.results, cli.ROOT)
    same = attrgetter("kind", "problem")
    for (kind, problem), group in groupby(sorted(done.findings, key=same), same):
        findings = list(group)
        behind = sorted({name for one in findings for name in one.behind})
        shown = f" (behind {listed(behind)})" if behind else ""
        print(f"{kind}: {listed([one.name for one in findings])}: {problem}{shown}")
    kept = f"; {done.not_kept} shards of samples are not kept" if done.not_kept else ""
    print(
        f"{arguments.results}: {done.shown} files of tables and pictures rest on {done.runs} runs, {done.files} files"
        f" in all{kept}; {done.rederived} files of tables written anew; findings: {len(done.findings)}"
    )
    if done.findings:
        sys.exit(1)


def listed(names: list[str]) -> str:
    """The first names, and how many more."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("results", type=Path, metavar="DIR", help="results/<suite>, from the folder of the run")
    cli.run(main, parser)
