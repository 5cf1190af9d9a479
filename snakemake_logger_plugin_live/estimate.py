"""The time that is left, from the times of jobs of the same rules."""

from collections import Counter
from statistics import fmean

from snakemake_logger_plugin_live.progress import Progress


def seconds_left(progress: Progress, now: float) -> float | None:
    """The work that is left, over the cores that do it; None while the times of too few jobs are known.

    These are half of all, those that are done included. A job of a rule without times counts as much as the mean rule,
    as does one that a checkpoint has added, until it runs.
    """
    means = {rule: fmean(seconds) for rule, seconds in list(progress.seconds.items()) if seconds}
    unfinished = dict(progress.unfinished)
    known = sum(count for rule, count in unfinished.items() if rule in means)
    if not means or 2 * (progress.done + known) < progress.total:
        return None
    typical = fmean(means.values())
    running = list(progress.running.values())
    waiting = Counter(unfinished)
    waiting.subtract(job.rule for job in running)
    waiting[None] = max(progress.total - progress.done - sum(unfinished.values()), 0)
    work = sum(count * means.get(rule, typical) * progress.threads.get(rule, 1) for rule, count in waiting.items())
    work += sum(max(means.get(job.rule, typical) - (now - job.started), 0) * job.threads for job in running)
    # On a cluster: as many as are busy now.
    cores = progress.cores or max(sum(job.threads for job in running), 1)
    return work / cores
