"""What the view shows: a few lines on a terminal, one line elsewhere."""

from collections import Counter
from statistics import fmean

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from snakemake_logger_plugin_live.estimate import seconds_left
from snakemake_logger_plugin_live.progress import Job, Progress
from snakemake_logger_plugin_live.words import duration

SHOWN = 6  # jobs or rules that are named; the others are counted


def line(progress: Progress, now: float) -> str:
    """The run in one line of text."""
    parts = [f"{count(progress)} in {duration(now - progress.started)}"]
    if progress.running:
        rules = Counter(job.rule for job in list(progress.running.values()))
        parts.append("running: " + named(rules))
        parts.append(time_left(progress, now))
    return "; ".join(parts)


def frame(progress: Progress, now: float) -> Group:
    """The run on a terminal: how far it is, what runs, what is left."""
    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True)
    bar = ProgressBar(total=progress.total, completed=progress.done, complete_style="green")
    head.add_row(count(progress), bar, f"{duration(now - progress.started)}, {time_left(progress, now)}")
    running = list(progress.running.values())
    rows = [running_job(progress, job, now) for job in running[:SHOWN]]
    if running[SHOWN:]:
        rows.append(f"  and {len(running) - SHOWN} more")
    waiting = Counter(dict(progress.unfinished))
    waiting.subtract(job.rule for job in running)
    if +waiting:
        rows.append(f"  to come: {named(waiting)}")
    return Group(head, *(Text(row, no_wrap=True, overflow="ellipsis") for row in rows))


def count(progress: Progress) -> str:
    """How many jobs are done, and how many failed."""
    failed = f", {len(progress.failed)} failed" if progress.failed else ""
    return f"{progress.done} of {progress.total} jobs done{failed}"


def time_left(progress: Progress, now: float) -> str:
    """The time left in words."""
    seconds = seconds_left(progress, now)
    return "time left not known yet" if seconds is None else f"about {duration(seconds)} left"


def running_job(progress: Progress, job: Job, now: float) -> str:
    """A job that runs, for how long, and how long its like have taken."""
    what = "  ".join([job.rule, " ".join(job.wildcards)] if job.wildcards else [job.rule])
    seconds = progress.seconds.get(job.rule)
    usual = f" of about {duration(fmean(seconds))}" if seconds else ""
    return f"  {what}  {duration(now - job.started)}{usual}"


def named(rules: Counter[str]) -> str:
    """How many jobs of which rules, the most frequent first."""
    most = [(rule, jobs) for rule, jobs in rules.most_common() if jobs > 0]
    words = [f"{jobs} {rule}" for rule, jobs in most[:SHOWN]]
    others = sum(jobs for _, jobs in most[SHOWN:])
    return ", ".join([*words, *([f"{others} others"] if others else [])])
