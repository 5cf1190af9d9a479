"""What is said once: that a job failed, that what comes first is ready."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from snakemake_logger_plugin_live.progress import Job
from snakemake_logger_plugin_live.words import duration

LAST_LINES = 10


def failed(rule: str, output: Sequence[str], logs: Sequence[str]) -> str:
    """Which job failed, and the last lines of its logs."""
    parts = [f"{rule} failed: {', '.join(output)}"]
    for log in logs:
        lines = last_lines(Path(log))
        parts += [f"the end of {log}:", *lines] if lines else [f"nothing is in {log}"]
    return "\n".join(parts)


def last_lines(log: Path) -> list[str]:
    """The last lines of a log; none where it cannot be read."""
    try:
        with log.open(errors="replace", encoding="utf-8") as lines:
            return [line.rstrip("\n") for line in deque(lines, LAST_LINES)]
    except OSError:
        return []


def ready(job: Job, seconds: float) -> str:
    """Where the tables and pictures lie that a job has made, and the tables themselves; nothing if it made none."""
    parts = []
    for path in map(Path, job.output):
        if path.suffix in (".md", ".png"):
            parts.append(f"{path} is ready after {duration(seconds)}")
        if path.suffix == ".md":
            parts.append(f"\n{path.read_text(encoding='utf-8').strip()}\n")
    return "\n".join(parts)
