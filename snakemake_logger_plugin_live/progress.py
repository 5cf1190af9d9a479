"""What a run has done, is doing and has left, taken from Snakemake's log records."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from logging import LogRecord

from snakemake_interface_logger_plugins.common import LogEvent


@dataclass(frozen=True)
class Job:
    """A job that runs.

    Attributes:
        first: whether it belongs to what `--prioritize` names.
        started: when, as time.time().
    """

    rule: str
    wildcards: tuple[str, ...]
    output: tuple[str, ...]
    threads: int
    first: bool
    started: float


class Progress:
    """The state of a run; `seconds` has every time that is known of a rule's jobs."""

    def __init__(self):
        self.total = 0
        self.done = 0
        self.started = 0.0
        self.cores: int | None = None
        self.running: dict[int, Job] = {}
        self.failed: set[int] = set()
        self.unfinished: Counter[str] = Counter()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.threads: dict[str, int] = {}

    def update(self, record: LogRecord) -> Job | None:
        """Take in a record; returns the job that it says has finished, if it does."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self._start(record)
            case LogEvent.PROGRESS:
                self.total = record.total  # a checkpoint has added jobs
            case LogEvent.RESOURCES_INFO:
                self.cores = getattr(record, "cores", self.cores)
            case LogEvent.JOB_INFO:
                self._start_job(record)
            case LogEvent.JOB_FINISHED:
                return self._finish_job(record)
            case LogEvent.JOB_ERROR:
                self.running.pop(record.jobid, None)
                self.failed.add(record.jobid)
        for rule, seconds in getattr(record, "recorded_seconds", {}).items():
            self.seconds[rule] += seconds
        return None

    def _start(self, record: LogRecord) -> None:
        self.total = record.stats["total"]
        self.unfinished = Counter({rule: count for rule, count in record.stats.items() if rule != "total"})
        self.started = record.created

    def _start_job(self, record: LogRecord) -> None:
        self.running[record.jobid] = Job(
            rule=record.rule_name,
            wildcards=tuple(str(value) for value in record.wildcards.values()),
            output=tuple(record.output),
            threads=record.threads,
            first=record.priority == "highest",
            started=record.created,
        )
        same = sum(job.rule == record.rule_name for job in self.running.values())
        self.unfinished[record.rule_name] = max(self.unfinished[record.rule_name], same)  # it was added meanwhile
        self.threads[record.rule_name] = record.threads
        self.failed.discard(record.jobid)  # it is tried again

    def _finish_job(self, record: LogRecord) -> Job | None:
        job = self.running.pop(record.job_id, None)
        if job is not None:
            self.done += 1
            self.unfinished[job.rule] -= 1
            self.seconds[job.rule].append(record.created - job.started)
        return job
