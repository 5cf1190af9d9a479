# Figures.
REAL = [f"real_{model}" for model in config.get("real_pictures", {}).get("models", [])]
NAMES = ("fig2", "fig4", *config["sample_grids"], *config["curves"], *REAL)
FIGURES = [f"{RESULTS}/figures/{name}.png" for name in NAMES]


rule sample_grid:
    input:
        shards=lambda w: [f"{RESULTS}/{run.path}/first.npz" for _, run in grid_runs(w.grid)],
        prompts=grid_prompts,
        timing=grid_timing,
    output:
        f"{RESULTS}/figures/{{grid}}.png",
    wildcard_constraints:
        grid="|".join(config["sample_grids"]),
    params:
        code=code("sample_grid"),
        options=grid_options,
    shell:
        program("sample_grid", "--shards {input.shards} {params.options} --output {output}")


rule real_pictures:
    input:
        unpack(real_files),
    output:
        picture=f"{RESULTS}/figures/real_{{model}}.png",
        numbers=f"{RESULTS}/figures/real_{{model}}.json",
    params:
        code=code("real_pictures"),
        options=real_options,
    shell:
        program("real_pictures", "{params.options} --output {output.picture}")


rule curves:
    input:
        tables=lambda w: [table_file(panel["table"]) for panel in config["curves"][w.curves]["panels"]],
    output:
        f"{RESULTS}/figures/{{curves}}.png",
    wildcard_constraints:
        curves="|".join(config["curves"]) or "$^",
    params:
        code=code("curves"),
        layout=lambda w: json.dumps(config["curves"][w.curves]),
    shell:
        program("curves", "--tables {input.tables} --layout {params.layout:q} --output {output}")


# Each figure by its name: snakemake fig5 --cores 2
for name in (*config["sample_grids"], *REAL):

    rule:
        name:
            name
        input:
            f"{RESULTS}/figures/{name}.png",


# Curves with all that their tables rest on.
for name, figure in config["curves"].items():

    rule:
        name:
            name
        input:
            SUITE,
            f"{RESULTS}/figures/{name}.png",
            *[files for panel in figure["panels"] for files in files_of(LAYOUTS[panel["table"]], kept_results)],
