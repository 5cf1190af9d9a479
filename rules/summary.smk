# Of the whole suite: its config; the summary, and the paper against ours.
SUMMARISED = [*FIGURES, f"{RESULTS}/figures/diversity.png"]
SUMMARY = [f"{RESULTS}/{name}{end}" for name in ("summary", "paper_against_ours") for end in (".csv", ".md")]


rule suite_settings:
    output:
        SUITE,
    localrule: True
    params:
        suite=whole_config,
    shell:
        "printf '%s' {params.suite:q} > {output} 2> {log}"


rule summary:
    input:
        *[files for layout in LAYOUTS.values() for files in files_of(layout, table_inputs)],
        published=published_tables(),
        tables=[table["path"] for table in summary_tables().values()],
        diversity=[f"{RESULTS}/{run.path}/run.json" for run in diversity_runs(config)],
        figures=SUMMARISED,
        macs=MACS,
    output:
        SUMMARY,
    params:
        code=code("summary"),
        suite=summary_of_suite,
        root=lambda w, output: Path(output[0]).parent,
        published=lambda w: PUBLISHED,
    shell:
        program(
            "summary",
            "--suite {params.suite:q} --results {params.root} --macs {input.macs} --published {params.published:q}",
        )
