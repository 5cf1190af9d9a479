# Files as the report shows them.
from deepcache.files import sha256
from deepcache.report.contents import FIGURES as PICTURES
from deepcache.report.contents import contents


def in_report(item, path):
    """A file as the report shows it; its caption is read when the report is made, and redoes nothing else."""
    return report(
        path,
        caption=os.path.abspath(f"{RESULTS}/report/captions/{item.name}.rst"),
        category=item.category,
        subcategory=item.subcategory,
        labels=item.labels,
    )


def report_options(wildcards):
    """What the report's pages are made from, as options of report_pages.py."""
    timings = sorted({path for layout in LAYOUTS.values() for path in timing_file(layout)})
    options = {
        "results": RESULTS,
        "tables": [f"{name}={table_file(name)}" for name in LAYOUTS],
        "timing": [f"{Path(path).stem}={path}" for path in timings],
        "features": rules.draw_fig2.input.recorded,
        "macs": MACS,
        "diversity": f"{RESULTS}/tables/diversity.csv",
        "output": REPORT,
    }
    return shlex.join(as_options(options))


def made_apart(wildcards):
    """Targets outside `all` that the report shows where they were made, which it does not do."""
    files = {"budget": rules.write_budget.output} if BUDGET["models"] else {}
    return {target: list(paths) for target, paths in files.items() if all(map(os.path.exists, paths))}


def state_of_made_apart(wildcards):
    """What tells that one of them has changed."""
    return [sha256(path) for paths in made_apart(wildcards).values() for path in paths]
