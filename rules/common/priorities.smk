# The order in which jobs start. What comes first is named on the command line, with all that it needs: --prioritize table2
from itertools import groupby


def start_by_priority():
    """Start jobs of lower rank only where none of a higher one waits for cores.

    Snakemake's schedulers give a free core to whatever is ready. A job that takes the whole machine, as timing does, would
    wait until nothing else is ready, and what needs it would come last, whatever its priority. Among jobs of one rank
    the greedy scheduler chooses: the solver of the other one fails at the priority that --prioritize gives, sys.maxsize.
    """
    select = workflow.scheduler.job_selector_greedy

    def select_by_rank(ready, remaining, resources, input_sizes):
        free, selected = dict(resources), []
        rank = ranks()
        for _, group in groupby(sorted(ready, key=rank), key=rank):
            jobs = list(group)
            started = select(jobs, remaining, free, input_sizes)
            selected += started
            for name in free:
                free[name] -= sum(job.scheduler_resources.get(name, 0) for job in started)
            if len(started) < len(jobs):
                break
        return selected

    workflow.scheduler._job_selector = select_by_rank


def ranks():
    """A function of a job that is ready: where it stands in the order, as something to sort by.

    First comes what --prioritize names. Then whatever does not sample, so that samples are read, and may be removed, as
    soon as they are there; then the shards of runs that were begun, then one run after the other, of each sampler first
    the one that others are compared with.
    """
    begun = functools.cache(lambda run: os.path.isdir(f"{run}/shards") and bool(os.listdir(f"{run}/shards")))

    def rank(job):
        if job.rule.name != "sample_shard":
            return (-job.priority, 0)
        made = job.wildcards
        run = (made.model, made.sampler, made.method != "full", made.method, int(made.seed))
        return (-job.priority, 1, not begun(RUN.format(**made)), *run, made.shard)

    return rank
