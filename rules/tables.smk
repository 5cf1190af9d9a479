# Tables: our numbers beside the published ones.
TABLES = [table_file(name) for name in LAYOUTS]
KEPT = [files for layout in LAYOUTS.values() for files in files_of(layout, kept_results)]

for name, layout in LAYOUTS.items():

    rule:
        name:
            f"write_{name}"
        input:
            *files_of(layout, table_inputs),
            published=published_table(layout),
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
            SUITE,
            table_file(name),
            grids_of(name),
            *files_of(layout, kept_results),
