# Figures.
FIGURES = [f"{RESULTS}/figures/{name}.png" for name in ("fig2", "fig4", *config["sample_grids"], *config["curves"])]


rule sample_grid:
    input:
        code=code("sample_grid", "figures/samples.py", "figures/style.py"),
        shards=lambda w: [f"{RESULTS}/{run.path}/shards/00000.npz" for _, run in grid_runs(w.grid)],
        prompts=grid_prompts,
        latency=grid_latency,
    output:
        f"{RESULTS}/figures/{{grid}}.png",
    log:
        f"{RESULTS}/logs/figures/{{grid}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/{{grid}}.tsv"
    wildcard_constraints:
        grid="|".join(config["sample_grids"]),
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        labels=lambda w: [label for label, _ in grid_runs(w.grid)],
        title=lambda w: config["sample_grids"][w.grid]["title"],
        images=lambda w: config["sample_grids"][w.grid]["images"],
        options=grid_options,
    shell:
        "python workflow/preloaded.py workflow/scripts/sample_grid.py --shards {input.shards} --labels {params.labels:q}"
        " --title {params.title:q} --images {params.images} {params.options} --output {output} --log {log}"


rule curves:
    input:
        code=code("curves", "figures/curves.py", "figures/style.py"),
        tables=lambda w: [table_file(panel["table"]) for panel in config["curves"][w.curves]["panels"]],
    output:
        f"{RESULTS}/figures/{{curves}}.png",
    log:
        f"{RESULTS}/logs/figures/{{curves}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/{{curves}}.tsv"
    wildcard_constraints:
        curves="|".join(config["curves"]) or "$^",
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        layout=lambda w: json.dumps(config["curves"][w.curves]),
    shell:
        "python workflow/preloaded.py workflow/scripts/curves.py --tables {input.tables} --layout {params.layout:q}"
        " --output {output} --log {log}"


# Each figure by its name: snakemake fig5 --cores 2
for name in config["sample_grids"]:

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
            f"{RESULTS}/figures/{name}.png",
            *[kept_results(LAYOUTS[panel["table"]]) for panel in figure["panels"]],
