# Metrics: one JSON file for each run.
REFERENCE = "--reference {input.reference} --extractor {params.extractor} --weights {input.weights}"
COMPARED = "--run {input.run} --baseline {input.baseline}"


rule metrics:
    input:
        run=rules.collect_run.output,
        reference=lambda w: f"{RESULTS}/references/{reference_of(w.model)}.npz",
        weights=lambda w: manifest(config["references"][reference_of(w.model)]["weights"]),
    output:
        f"{RUN}/metrics.json",
    resources:
        gpu=gpus,
        mem_mb=6000,
        runtime=240,
    params:
        code=code("metrics"),
        extractor=extractor_of,
    shell:
        on_device("metrics", f"--run {{input.run}} {REFERENCE} --output {{output}}")


use rule metrics as metrics_of_first with:
    input:
        run=rules.collect_first.output,
        reference=rules.metrics.input.reference,
        weights=rules.metrics.input.weights,
    output:
        f"{RUN}/metrics-{{images}}.json",


rule paired:
    input:
        run=rules.collect_run.output,
        baseline=f"{RESULTS}/{{model}}/{{sampler}}/full/seed-{{seed}}/run.json",
        reference=rules.metrics.input.reference,
        weights=rules.metrics.input.weights,
    output:
        f"{RUN}/paired.json",
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=480,
    params:
        code=code("paired"),
        extractor=extractor_of,
        resamples=config["paired_resamples"],
    shell:
        on_device("paired", f"{COMPARED} {REFERENCE} --resamples {{params.resamples}} --output {{output}}")


rule clip_score:
    input:
        run=rules.collect_run.output,
        prompts=prompts_manifest,
        weights=lambda w: manifest(config["models"][w.model]["clip"]),
    output:
        f"{RUN}/clip_score.json",
    resources:
        gpu=gpus,
        mem_mb=12000,
        runtime=240,
    params:
        code=code("clip_score"),
    shell:
        on_device(
            "clip_score", "--run {input.run} --prompts {input.prompts} --weights {input.weights} --output {output}"
        )


use rule clip_score as clip_score_of_first with:
    input:
        run=rules.collect_first.output,
        prompts=prompts_manifest,
        weights=rules.clip_score.input.weights,
    output:
        f"{RUN}/clip_score-{{images}}.json",


rule paired_fidelity:
    input:
        run=rules.collect_run.output,
        baseline=rules.paired.input.baseline,
        perceptual=lambda w: manifest(config["models"][w.model]["perceptual"]),
    output:
        f"{RUN}/paired_fidelity.json",
    resources:
        gpu=gpus,
        mem_mb=6000,
        runtime=240,
    params:
        code=code("paired_fidelity"),
    shell:
        on_device(
            "paired_fidelity",
            f"{COMPARED} --perceptual {{input.perceptual}} --output {{output}}",
        )
