# How long jobs took before.


def tell_recorded_times():
    """Tell Snakemake's loggers the times of each rule's jobs in earlier runs, by their benchmarks."""
    recorded = {}
    for job in workflow.dag.jobs:
        seconds = benchmarked_seconds(job.benchmark) if job.benchmark else None
        if seconds is not None:
            recorded.setdefault(job.rule.name, []).append(seconds)
    logger.info("", extra={"recorded_seconds": recorded})


def benchmarked_seconds(path):
    """The first column of a benchmark of Snakemake's; None where there is none, or only a part of one."""
    try:
        return float(Path(path).read_text(encoding="utf-8").splitlines()[1].split("\t")[0])
    except (OSError, IndexError, ValueError):
        return None
