# What every job has: its program, the code that it stands on, its log, its benchmark, its environment.
import functools
import re

from snakemake.path_modifier import PathModifier

from deepcache.imports import code_digest

# A variable, so that a command stays the same where the project is moved.
WORKFLOW = '"$DEEPCACHE_ROOT"/workflow'


def program(name, options):
    """A job's command: a program of workflow/scripts with these options.

    What it says goes to the rule's log, and what it reads and writes to the rule's record.
    """
    recorded = "--record {params.record:q} --code {params.code:q}"
    return f"python {WORKFLOW}/preloaded.py {WORKFLOW}/scripts/{name}.py {quoted(options)} --log {{log:q}} {recorded}"


def asked_for(name, options):
    """As `program`, of one that prints on the screen what was asked for."""
    return f"python {WORKFLOW}/scripts/{name}.py {quoted(options)} --log {{log:q}}"


def quoted(options):
    """The options with each file of a job as one word of the shell, also where its path has spaces."""
    return re.sub(r"\{((?:input|output)\b[^{}:!]*)\}", r"{\1:q}", options)


def on_device(name, options):
    """As `program`, of one that computes on the suite's device."""
    return program(name, f"{options} --device {DEVICE} --threads {{threads}}")


def timed(name, options):
    """As `on_device`, of one whose options say with how many threads it times."""
    return program(name, f"{options} --device {DEVICE}")


def unloaded(name, options):
    """As `program`, of one that needs no torch, so it does not wait for the server that imports it."""
    return f"DEEPCACHE_PRELOADED= {program(name, options)}"


@functools.cache
def code(name):
    """What a program and the modules that it imports, directly or through others, hold: editing them redoes its jobs.

    A parameter, not input files: their times change where nothing else does, as when the project is cloned anew.
    """
    return named_digest(ROOT / f"workflow/scripts/{name}.py")


def named_digest(file):
    """The digest of a file and what it imports, by the file's name, so that an audit can compute it anew."""
    return f"{file.relative_to(ROOT)}={code_digest(file, ROOT)}"


@functools.cache
def code_with(name, *methods):
    """As `code`, with the files that define these methods and what they import: those of other methods redo nothing."""
    files = sorted({file for method in methods for file in Method.parse(method).source_files()})
    return " ".join([code(name), *map(named_digest, files)])


def record_every_job():
    """Give each rule of this project what all have.

    That is an environment, a log, a benchmark and a record that its name and wildcards tell apart, and its device if it
    takes a GPU.
    """
    unchanged = PathModifier(None, None, workflow)  # they lie where the output is, which a module may have moved
    for one in workflow.rules:
        if not one.shellcmd or one.log or not Path(one.snakefile).is_relative_to(ROOT):
            continue
        output = str(one.output[0]) if one.output else RESULTS
        suite = re.match(r"(.*/)?results/[^/]+", output)[0]
        names = [name for name in re.findall(r"\{(\w+)", output) if name in one.wildcard_names]
        if "gpu" in one.resources:
            one.resources.update({"device": device})
        place = Path(one.name, *(f"{{{name}}}" for name in names))
        one.log_modifier = one.benchmark_modifier = unchanged
        one.set_log(f"{suite}/logs/{place}.log")
        if one.output:
            one.set_params(record=f"{suite}/records/{place}.json")
            one.benchmark = f"{suite}/benchmarks/{place}.tsv"
        one.conda_env = str(ROOT / "envs/deepcache.yaml")
