# The report: one HTML file with tables, figures, times and where every number comes from.
from deepcache.report.contents import FIGURES as PICTURES
from deepcache.report.contents import contents

REPORT = f"{RESULTS}/report"
CONTENTS = contents(config, LAYOUTS)


report: "../workflow/report/description.rst"


# A rule of its own, so that the report does not repeat the config beside every item.
rule suite_settings:
    output:
        f"{REPORT}/suite.json",
    log:
        f"{RESULTS}/logs/report/suite.log",
    localrule: True
    conda:
        "../envs/deepcache.yaml"
    params:
        # A function, since labels in the config hold braces, which are no wildcards.
        suite=lambda wildcards: json.dumps(config),
    shell:
        "printf '%s' {params.suite:q} > {output} 2> {log}"


# The programs of these two rules need no torch, so they do not wait for the server that imports it.
rule report_pages:
    input:
        code=code("report_pages", "report", "results"),
        suite=rules.suite_settings.output,
        tables=TABLES,
        macs=MACS,
        diversity=rules.write_diversity.output.csv,
        features=rules.draw_fig2.input.recorded,
        latency=sorted({path for layout in LAYOUTS.values() for path in latency_file(layout)}),
        figures=[
            in_report(item, f"{RESULTS}/figures/{item.name}.png") for item in CONTENTS if item.category == PICTURES
        ],
        summary=SUMMARY,
        everything=rules.all.input,
    output:
        pages=[in_report(item, f"{REPORT}/pages/{item.name}.html") for item in CONTENTS if item.category != PICTURES],
        captions=sorted({f"{REPORT}/captions/{item.name}.rst" for item in CONTENTS}),
    log:
        f"{RESULTS}/logs/report/pages.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/pages.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        results=lambda w, input: Path(str(input.suite)).parents[1],
        tables=[f"{name}={table_file(name)}" for name in LAYOUTS],
        latency=lambda w, input: [f"{Path(path).stem}={path}" for path in input.latency],
        folder=lambda w, input: Path(str(input.suite)).parent,
    shell:
        "DEEPCACHE_PRELOADED= python workflow/preloaded.py workflow/scripts/report_pages.py --suite {input.suite}"
        " --results {params.results} --tables {params.tables} --latency {params.latency} --features {input.features} --macs {input.macs}"
        " --diversity {input.diversity} --output {params.folder} --log {log}"


rule report:
    input:
        code=code("report"),
        looks=["workflow/report/description.rst", "workflow/report/style.css"],
        suite=rules.suite_settings.output,
        pages=rules.report_pages.output,
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/report.tsv"
    localrule: True
    conda:
        "../envs/deepcache.yaml"
    shell:
        "DEEPCACHE_PRELOADED= python workflow/preloaded.py workflow/scripts/report.py --suite {input.suite}"
        " --output {output} --log {log}"
