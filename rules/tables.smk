# Tables: our numbers beside the published ones.
TABLES = [file for name in LAYOUTS for file in table_files(name)]
KEPT = [files for layout in LAYOUTS.values() for files in files_of(layout, kept_results)]

for name, layout in LAYOUTS.items():

    rule:
        name:
            f"write_{name}"
        input:
            *files_of(layout, table_inputs),
            published=published_table(layout),
        output:
            csv=table_files(name)[0],
            markdown=table_files(name)[1],
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
            *table_files(name),
            grids_of(name),
            *files_of(layout, kept_results),
