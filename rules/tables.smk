# Tables: our numbers beside the published ones.
TABLES = [table_file(name) for name in LAYOUTS]
KEPT = [path for layout in LAYOUTS.values() for path in kept_results(layout)]

for name, layout in LAYOUTS.items():

    rule:
        name:
            f"write_{name}"
        input:
            published=published_table(layout),
            results=table_inputs(layout),
        output:
            csv=table_file(name),
            markdown=table_file(name).replace(".csv", ".md"),
        params:
            code=code("table"),
            layout=as_function(json.dumps(layout)),
            root=lambda w, output: Path(output.csv).parents[1],
            published=lambda w: PUBLISHED,
        shell:
            program(
                "table",
                "--layout {params.layout:q} --results {params.root} --published {params.published:q}"
                " --output {output.csv}",
            )

    rule:
        name:
            name
        input:
            table_file(name),
            grids_of(name),
            kept_results(layout),
