"""Make the report, one HTML file, out of a finished suite.

Runs `snakemake --report`, which reads what its earlier runs recorded and the pages of report_pages.py. No job is
started and nothing is downloaded.
"""

import subprocess
import sys
from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError

STYLE = Path(__file__).resolve().parents[1] / "report" / "style.css"


def main(arguments) -> None:
    """Run Snakemake; the file appears only when it is complete."""
    from deepcache.files import atomic

    if arguments.output.suffix != ".html":
        raise DeepCacheError(f"--output {arguments.output}: the name of a report must end in .html")
    if not arguments.suite.is_file():
        raise DeepCacheError(f"--suite {arguments.suite}: no such file; the rule suite_settings makes it")
    with atomic(arguments.output) as temporary:
        # Without a lock: within a workflow it is that workflow's.
        command = [sys.executable, "-m", "snakemake", *arguments.targets, "--nolock", "--cores", "1"]
        command += ["--report", str(temporary), "--configfile", str(arguments.suite)]
        command += ["--report-stylesheet", str(STYLE)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
            for line in running.stdout:
                sys.stderr.write(line)
        if running.returncode or not temporary.exists():
            raise DeepCacheError(f"{arguments.output} is not made: Snakemake says above why")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--suite", required=True, type=Path, metavar="JSON", help="the suite's config, merged")
    parser.add_argument("--targets", nargs="+", default=["report_pages"], help="what the report covers")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="HTML")
    cli.run(main, parser)
