# What happens when the workflow starts.
import subprocess
import tempfile


def submit_without_limit():
    """Look for jobs to start when one has ended, and only then.

    Snakemake 9 limits how many it starts in a second. For that it looks through all that wait a second after each look
    as well, one more time a second for each job that ever ended: after some hundred jobs that takes a core of its own.
    A longer span (--max-jobs-per-timespan) would keep Snakemake from ending for as long.
    """
    workflow.scheduler.job_rate_limiter = None


def start_preloaded():
    """Start the server of workflow/preloaded.py; it ends with this process."""
    if not config["preload"]:
        return
    address = Path(tempfile.mkdtemp(prefix="deepcache-"), "socket")
    os.environ.update(DEEPCACHE_PRELOADED=f"{sys.prefix}{os.pathsep}{address}")
    command = [sys.executable, f"{workflow.basedir}/workflow/preloaded.py", "--serve", str(address)]
    subprocess.Popen(command, stdin=subprocess.DEVNULL)
