# The order in which jobs start. What comes first is named on the command line, with all that it needs: --prioritize table2
from itertools import groupby


def start_by_priority():
    """Start jobs of lower priority only where none of a higher one waits for cores.

    Snakemake's schedulers give a free core to whatever is ready. A job that takes the whole machine, as timing does, would
    wait until nothing else is ready, and what needs it would come last, whatever its priority. Among jobs of one priority
    the greedy scheduler chooses: the solver of the other one fails at the priority that --prioritize gives, sys.maxsize.
    """
    select = workflow.scheduler.job_selector_greedy

    def select_by_priority(ready, remaining, resources, input_sizes):
        free, selected = dict(resources), []
        by_priority = sorted(ready, key=lambda job: job.priority, reverse=True)
        for _, group in groupby(by_priority, key=lambda job: job.priority):
            jobs = list(group)
            started = select(jobs, remaining, free, input_sizes)
            selected += started
            for name in free:
                free[name] -= sum(job.scheduler_resources.get(name, 0) for job in started)
            if len(started) < len(jobs):
                break
        return selected

    workflow.scheduler._job_selector = select_by_priority
