# What happens when the workflow starts, and when it fails.
import shutil
import subprocess
import tempfile

from deepcache import running

FOLDER = Path(".snakemake")


def clear_what_was_killed():
    """Announce this run, and clear away what runs that were killed have left: Snakemake's lock among it.

    Not where a part of the run looks at these rules, as on the nodes of a cluster.
    """
    if workflow.is_main_process:
        for path in running.announce(FOLDER / "running"):
            shutil.rmtree(FOLDER / "locks", ignore_errors=True)
            for kind, value in running.forget(path):
                if kind == "folder":
                    shutil.rmtree(value, ignore_errors=True)
                elif kind == "slurm" and shutil.which("scancel"):
                    subprocess.run(["scancel", f"--name={value}"], stderr=subprocess.DEVNULL)


def tie_jobs():
    """Have jobs end with this process, however it ends; those on Slurm, which bear its name, are cancelled by the next run."""
    if workflow.local_exec:
        running.tie(os.environ)
    elif name := getattr(workflow.scheduler._executor, "run_uuid", None):
        running.note("slurm", name)


def submit_without_limit():
    """Look for jobs to start when one has ended, and only then.

    Snakemake 9 limits how many it starts in a second. For that it looks through all that wait a second after each look
    as well, one more time a second for each job that ever ended: after some hundred jobs that takes a core of its own.
    A longer span (--max-jobs-per-timespan) would keep Snakemake from ending for as long.
    """
    workflow.scheduler.job_rate_limiter = None


def start_preloaded():
    """Start the server of workflow/preloaded.py; it ends with this process.

    Not on a cluster: a job on this very machine would be run by the server, outside what it was allotted.
    """
    if not config["preload"] or not workflow.local_exec:
        return
    address = Path(tempfile.mkdtemp(prefix="deepcache-"), "socket")
    running.note("folder", address.parent)
    os.environ.update(DEEPCACHE_PRELOADED=f"{sys.prefix}{os.pathsep}{address}")
    command = [sys.executable, str(ROOT / "workflow/preloaded.py"), "--serve", str(address)]
    log = Path(RESULTS, "logs/preloaded.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as messages:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)


def remember_last_success():
    """Have a job that fails leave what is known of how its output was made the last time.

    Snakemake 9 notes parameters and inputs of a failed job as if it had been done, and removes its output. Were that a
    reference or a manifest, nothing would be left to tell that tables which were made before are out of date.
    """
    handle, persistence = workflow.scheduler._handle_error, workflow.persistence
    finished = persistence.finished

    async def note_nothing(job):
        pass

    def handle_error(job, **options):
        persistence.finished = note_nothing
        try:
            handle(job, **options)
        finally:
            persistence.finished = finished

    workflow.scheduler._handle_error = handle_error


def name_failed_jobs():
    """Say what was not made, and where its logs are: `quiet: rules` of profiles/default hides Snakemake's own words."""
    for job in sorted(workflow.scheduler.failed, key=lambda job: str(job.output)):
        slurm_logs = Path(f".snakemake/slurm_logs/rule_{job.rule.name}")
        logs = [*job.log, *([slurm_logs] if not workflow.local_exec and slurm_logs.is_dir() else [])]
        logger.error(f"error: {job.rule.name}: {job.output} not made; see {', '.join(map(str, logs))}")
