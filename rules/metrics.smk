# Metrics: one JSON file for each run.
rule metrics:
    input:
        code=code(
            "metrics", "metrics/extractors.py", "metrics/fidelity.py", "metrics/statistics.py", "models/classifier.py"
        ),
        run=rules.collect_run.output,
        reference=lambda w: f"{RESULTS}/references/{reference_of(w.model)}.npz",
        extractor=lambda w: extractor_manifest(reference_of(w.model)),
    output:
        f"{RUN}/metrics.json",
    log:
        f"{RUN}/logs/metrics.log",
    benchmark:
        f"{RUN}/benchmarks/metrics.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=2000,
        runtime=60,
    params:
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/metrics.py --run {input.run} --reference {input.reference}"
        " --extractor {input.extractor} --device {params.device} --threads {threads} --output {output} --log {log}"
