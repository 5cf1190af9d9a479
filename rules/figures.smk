# Figures.
FIGURES = [f"{RESULTS}/figures/{name}.png" for name in config["sample_grids"]]


rule sample_grid:
    input:
        code=code("sample_grid", "figures"),
        shards=lambda w: [
            f"{RESULTS}/{run.path}/shards/00000.npz" for _, run in grid_runs(config["sample_grids"][w.grid])
        ],
    output:
        f"{RESULTS}/figures/{{grid}}.png",
    log:
        f"{RESULTS}/logs/figures/{{grid}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/{{grid}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        labels=lambda w: [label for label, _ in grid_runs(config["sample_grids"][w.grid])],
        title=lambda w: config["sample_grids"][w.grid]["title"],
        images=lambda w: config["sample_grids"][w.grid]["images"],
    shell:
        "python workflow/preloaded.py workflow/scripts/sample_grid.py --shards {input.shards} --labels {params.labels:q}"
        " --title {params.title:q} --images {params.images} --output {output} --log {log}"
