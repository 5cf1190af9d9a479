# The summary: every run and table, and the paper against ours.
SUMMARY = [f"{RESULTS}/{name}{end}" for name in ("summary", "paper_against_ours") for end in (".csv", ".md")]


def summary_tables():
    """What the summary says of each table, and where it lies."""
    named = {
        name: {
            "title": layout["title"],
            "path": table_file(name),
            "published": layout["published"],
            "latency": latency_file(layout),
        }
        for name, layout in LAYOUTS.items()
    }
    diversity = {"title": f"Diversity: {config['diversity']['title']}", "path": f"{RESULTS}/tables/diversity.csv"}
    return {**named, "diversity": diversity}


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
        root=RESULTS,
        published=PUBLISHED,
    shell:
        "python workflow/preloaded.py workflow/scripts/summary.py --suite {params.suite:q} --results {params.root}"
        " --macs {input.macs} --published {params.published} --log {log}"
