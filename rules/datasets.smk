# Datasets and prompts: each ends in a manifest through which everything opens it.


# What arrives stays in results/downloads, where an interrupted download goes on.
rule dataset:
    input:
        dataset_files,
    output:
        f"{RESULTS}/datasets/{{dataset}}.json",
    retries: 2
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        code=code("dataset"),
        options=lambda w: dataset_options(w.dataset),
    shell:
        program("dataset", "{params.options} --output {output}")
