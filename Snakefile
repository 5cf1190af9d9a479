# DeepCache (arXiv 2312.00858): from checkpoints to every table and figure.
#
#   snakemake all --cores 2        everything of the suite
#   snakemake table2 --cores 2     one table with its picture
#
#   snakemake estimate --cores 1   what a suite will cost, before anything is started
#
# The suite is config/config.yaml, unless --configfile names another: config/paper.yaml, config/modern.yaml, ...
import os
import sys
from pathlib import Path

ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).resolve()
sys.path.insert(0, str(ROOT))
# Jobs run with this Python, also where .venv is not activated; conda environments come before it.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
os.environ.update(DEEPCACHE_ROOT=str(ROOT))


if not {"suite", "extends"} & config.keys():

    configfile: "config/config.yaml" if os.path.exists("config/config.yaml") else str(ROOT / "config/config.yaml")


include: "rules/common.smk"
include: "rules/checkpoints.smk"
include: "rules/datasets.smk"
include: "rules/references.smk"
include: "rules/beyond/calibration.smk"
include: "rules/samples.smk"
include: "rules/metrics.smk"
include: "rules/macs.smk"
include: "rules/timing.smk"
include: "rules/searches.smk"
include: "rules/tables.smk"
include: "rules/features.smk"
include: "rules/diversity.smk"
include: "rules/figures.smk"
include: "rules/beyond/comparison.smk"
include: "rules/beyond/budget.smk"
include: "rules/latency.smk"
include: "rules/summary.smk"
include: "rules/estimate.smk"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        DIVERSITY,
        SUMMARY,
        SUITE,
        MACS,
        MACS.replace(".csv", ".md"),
        *KEPT,


# After `all`, of which they take everything.
include: "rules/audit.smk"
include: "rules/report.smk"


record_every_job()
clear_what_was_killed()


onstart:
    submit_without_limit()
    tie_jobs()
    remember_last_success()
    start_by_priority()
    remove_samples_that_were_read()
    start_preloaded()


onerror:
    name_failed_jobs()
