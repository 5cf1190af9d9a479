# Samples that are not kept: with `keep_samples: false` a shard is removed as soon as all that reads it is done.
from deepcache.runs.run import Run
from deepcache.suite.disk import shown_images
from deepcache.suite.layout import uncached_runs

KEEP_SAMPLES = config.get("keep_samples", True)
# Runs that others are compared with image by image: these samples stay. Were they sampled again for a row that is added,
# every comparison with them would be made again, and for that the samples of every run.
COMPARED_WITH = {
    shard
    for layout in LAYOUTS.values()
    for run in uncached_runs(layout)
    for shard in shard_paths(f"{RESULTS}/{run.path}", run.model)
}
# By search, the samples of its candidates that rounds compare: those of one round are the first of the next.
SCREENED = {}
for file, (one, row) in SCREENINGS.items():
    compared = SCREENED.setdefault(Path(file).parent.name, set())
    for candidate in row["candidates"]:
        compared.update(shard_paths(f"{RESULTS}/{candidate}", Run.parse(candidate).model, one["images"]))


def shard_output(path):
    """A shard as the output of a rule."""
    return path if KEEP_SAMPLES else temp(path)


def kept_shards(run, model, images=None):
    """As `shard_paths`, of what is asked for by name so that a lost shard is noticed: none where they are temporary."""
    return shard_paths(run, model, images) if KEEP_SAMPLES else []


def shards_of(wildcards):
    """The shards of a run, as an input of what reads all of its images."""
    return shard_paths(RUN.format(**wildcards), wildcards["model"])


def first_shards_of(wildcards):
    """The shards of a run that hold its first images, so many as the wildcard says."""
    return shard_paths(RUN.format(**wildcards), wildcards.model, int(wildcards.images))


def searches_going_on():
    """The searches of which a round is still to be run."""
    return {job.wildcards.search for job in workflow.dag.checkpoint_jobs}


def is_held(shard):
    """Whether a shard stays although no job that is known waits for it."""
    return shard in COMPARED_WITH or any(shard in SCREENED[search] for search in searches_going_on())


def remove_samples_that_were_read():
    """Remove temporary shards while searches go on, too.

    As long as a checkpoint is to be run, Snakemake removes no temporary file at all, for any of them may be needed by
    jobs that the checkpoint will bring. Here it is known which: the first shards of a search's candidates.
    """
    if KEEP_SAMPLES or workflow.storage_settings.notemp:
        return
    dag = workflow.dag
    finish, is_needed = dag.finish, dag.is_needed_tempfile

    def is_needed_or_held(job, file, outside_of_group_job=None):
        return is_held(str(file)) or is_needed(job, file, outside_of_group_job)

    async def finish_and_remove(job, update_checkpoint_dependencies=True):
        going_on = searches_going_on()
        ready = await finish(job, update_checkpoint_dependencies)
        deferred = list(dag._deferred_temp_jobs)
        dag._deferred_temp_jobs.clear()
        for one in deferred:
            await dag.handle_temp(one)
        for search in going_on - searches_going_on():
            remove_unneeded(SCREENED[search])
        return ready

    dag.finish, dag.is_needed_tempfile = finish_and_remove, is_needed_or_held


def remove_unneeded(shards):
    """Remove those of these shards that no job waits for."""
    jobs = {str(file): job for job in workflow.dag.jobs for file in job.output if str(file) in shards}
    for shard in shards:
        if not (shard in jobs and workflow.dag.is_needed_tempfile(jobs[shard], shard)):
            Path(shard).unlink(missing_ok=True)
