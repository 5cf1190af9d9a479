# Datasets and prompts: each ends in a manifest through which everything opens it.


# What arrives stays in results/downloads, where an interrupted download goes on.
rule dataset:
    input:
        code=code("dataset", "data"),
    output:
        f"{RESULTS}/datasets/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/datasets/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/datasets/{{dataset}}.tsv"
    retries: 2
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        options=lambda w: dataset_options(w.dataset),
    shell:
        "python workflow/preloaded.py workflow/scripts/dataset.py {params.options} --output {output} --log {log}"
