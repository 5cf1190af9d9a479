# Tables: our numbers beside the published ones.


TABLES = [table_file(name) for name in LAYOUTS]
KEPT = [path for layout in LAYOUTS.values() for path in kept_results(layout)]

for name, layout in LAYOUTS.items():

    rule:
        name:
            f"write_{name}"
        input:
            code=code("table", "results"),
            published=f"{PUBLISHED}/{layout['published']['file']}" if layout["published"] else [],
            results=table_inputs(layout),
        output:
            csv=table_file(name),
            markdown=table_file(name).replace(".csv", ".md"),
        log:
            f"{RESULTS}/logs/tables/{name}.log",
        benchmark:
            f"{RESULTS}/benchmarks/tables/{name}.tsv"
        conda:
            "../envs/deepcache.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            layout=json.dumps(layout),
            root=lambda w, output: Path(output.csv).parents[1],
            published=lambda w: PUBLISHED,
        shell:
            "python workflow/preloaded.py workflow/scripts/table.py --layout {params.layout:q} --results {params.root}"
            " --published {params.published} --output {output.csv} --log {log}"

    rule:
        name:
            name
        input:
            table_file(name),
            grids_of(name),
            kept_results(layout),
