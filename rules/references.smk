# Reference statistics: what samples are measured against.
rule reference_statistics:
    input:
        code=code("reference_statistics", "data", "metrics", "models/classifier.py"),
        dataset=lambda w: dataset_manifest(config["references"][w.reference]["dataset"]),
        weights=lambda w: manifest(config["references"][w.reference]["weights"]),
    output:
        f"{RESULTS}/references/{{reference}}.npz",
    log:
        f"{RESULTS}/logs/references/{{reference}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/references/{{reference}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=6000,
        runtime=1440,
    params:
        options=lambda w: reference_options(w.reference),
        # Where the statistics of a large dataset go on after an interruption.
        partial=f"{RESULTS}/references/{{reference}}.partial.npz",
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/reference_statistics.py --dataset {input.dataset}"
        " --weights {input.weights} {params.options} --partial {params.partial} --device {params.device}"
        " --threads {threads} --output {output} --log {log}"
