# Reference statistics: what samples are measured against.
rule reference_statistics:
    input:
        code=code(
            "reference_statistics", "data", "metrics/extractors.py", "metrics/statistics.py", "models/classifier.py"
        ),
        extractor=lambda w: extractor_manifest(w.reference),
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
        mem_mb=2000,
        runtime=60,
    params:
        dataset=lambda w: config["references"][w.reference]["dataset"],
        image_size=lambda w: config["references"][w.reference]["image_size"],
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/reference_statistics.py --extractor {input.extractor} --dataset {params.dataset}"
        " --image-size {params.image_size} --device {params.device} --threads {threads} --output {output} --log {log}"
