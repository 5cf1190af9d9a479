"""Log records as Snakemake makes them."""

import logging

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_live.progress import Progress


def record(event: LogEvent | None, message: str = "", at: float = 0.0, level: int = logging.INFO, **fields):
    made = logging.LogRecord("snakemake", level, "", 0, message, (), None)
    made.__dict__.update(fields, created=at)
    if event is not None:
        made.event = event
    return made


def plan(at: float = 0.0, **counts: int):
    """What Snakemake says before it starts: how many jobs of each rule."""
    return record(LogEvent.RUN_INFO, at=at, stats={**counts, "total": sum(counts.values())})


def started(jobid: int, rule: str, at: float = 0.0, **fields):
    values = {"wildcards": {}, "output": [], "log": [], "threads": 1, "priority": 0, **fields}
    return record(LogEvent.JOB_INFO, at=at, jobid=jobid, rule_name=rule, **values)


def finished(jobid: int, at: float):
    return record(LogEvent.JOB_FINISHED, at=at, job_id=jobid)


def failed(jobid: int, rule: str = "sample", at: float = 0.0, **fields):
    return record(LogEvent.JOB_ERROR, at=at, jobid=jobid, rule_name=rule, **{"output": [], "log": [], **fields})


def cores(number: int):
    return record(LogEvent.RESOURCES_INFO, cores=number)


def progress(*records) -> Progress:
    """The state after these records."""
    made = Progress()
    for one in records:
        made.update(one)
    return made
