# The summary: every run and table, and the paper against ours.
SUMMARY = [f"{RESULTS}/{name}{end}" for name in ("summary", "paper_against_ours") for end in (".csv", ".md")]


rule summary:
    input:
        code=code("summary", "results"),
        published=[f"{PUBLISHED}/{name}" for name in sorted(os.listdir(f"{workflow.basedir}/{PUBLISHED}"))],
        tables=[table["path"] for table in summary_tables().values()],
        results=[path for layout in LAYOUTS.values() for path in table_inputs(layout)],
        diversity=[f"{RESULTS}/{run.path}/run.json" for run in diversity_runs(config)],
        figures=[*FIGURES, f"{RESULTS}/figures/diversity.png"],
        macs=MACS,
    output:
        SUMMARY,
    log:
        f"{RESULTS}/logs/summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/summary.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # A function, since titles in the config may hold braces, which are no wildcards.
        suite=lambda w, input: json.dumps(
            {
                "name": config["suite"],
                "verdicts": config["verdicts"],
                "figures": list(input.figures),
                "tables": summary_tables(),
            }
        ),
        root=lambda w: RESULTS,
        published=lambda w, input: Path(input.published[0]).parent,
    shell:
        "python workflow/preloaded.py workflow/scripts/summary.py --suite {params.suite:q} --results {params.root}"
        " --macs {input.macs} --published {params.published} --log {log}"
