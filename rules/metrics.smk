# Metrics: one JSON file for each run.
rule metrics:
    input:
        code=code("metrics", "metrics", "models/classifier.py", "sampling/shards.py"),
        run=rules.collect_run.output,
        reference=lambda w: f"{RESULTS}/references/{reference_of(w.model)}.npz",
        weights=lambda w: manifest(config["references"][reference_of(w.model)]["weights"]),
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
        mem_mb=6000,
        runtime=240,
    params:
        extractor=lambda w: config["references"][reference_of(w.model)]["extractor"],
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/metrics.py --run {input.run} --reference {input.reference}"
        " --extractor {params.extractor} --weights {input.weights} --device {params.device} --threads {threads} --output {output} --log {log}"


rule paired:
    input:
        code=code("paired", "metrics", "models/classifier.py", "sampling/shards.py"),
        run=rules.collect_run.output,
        baseline=f"{RESULTS}/{{model}}/{{sampler}}/full/seed-{{seed}}/run.json",
        reference=rules.metrics.input.reference,
        weights=rules.metrics.input.weights,
    output:
        f"{RUN}/paired.json",
    log:
        f"{RUN}/logs/paired.log",
    benchmark:
        f"{RUN}/benchmarks/paired.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=8000,
        runtime=480,
    params:
        extractor=lambda w: config["references"][reference_of(w.model)]["extractor"],
        resamples=config["paired_resamples"],
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/paired.py --run {input.run} --baseline {input.baseline}"
        " --reference {input.reference} --extractor {params.extractor} --weights {input.weights}"
        " --resamples {params.resamples} --device {params.device} --threads {threads} --output {output} --log {log}"


rule clip_score:
    input:
        code=code("clip_score", "metrics/clip_score.py", "sampling/shards.py"),
        run=rules.collect_run.output,
        prompts=prompts_manifest,
        weights=lambda w: manifest(config["models"][w.model]["clip"]),
    output:
        f"{RUN}/clip_score.json",
    log:
        f"{RUN}/logs/clip_score.log",
    benchmark:
        f"{RUN}/benchmarks/clip_score.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=12000,
        runtime=240,
    params:
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/clip_score.py --run {input.run} --prompts {input.prompts}"
        " --weights {input.weights} --device {params.device} --threads {threads} --output {output} --log {log}"


rule paired_fidelity:
    input:
        code=code(
            "paired_fidelity",
            "metrics/paired_fidelity.py",
            "metrics/perceptual.py",
            "models/classifier.py",
            "sampling/shards.py",
        ),
        run=rules.collect_run.output,
        baseline=rules.paired.input.baseline,
        perceptual=lambda w: manifest(config["models"][w.model]["perceptual"]),
    output:
        f"{RUN}/paired_fidelity.json",
    log:
        f"{RUN}/logs/paired_fidelity.log",
    benchmark:
        f"{RUN}/benchmarks/paired_fidelity.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=6000,
        runtime=240,
    params:
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/paired_fidelity.py --run {input.run} --baseline {input.baseline}"
        " --perceptual {input.perceptual} --device {params.device} --threads {threads} --output {output} --log {log}"
