# Metrics: one JSON file for each run.
MEASURED = (
    "--run {input.run} --reference {input.reference} --extractor {params.extractor} --weights {input.weights}"
    " {params.features} --output {output.metrics}"
)
BASELINE = f"{RESULTS}/{{model}}/{{sampler}}/full/seed-{{seed}}"
COMPARED = "--run {input.run} --baseline {input.baseline}"


# The pooled features stay, for `paired`.
rule metrics:
    input:
        run=rules.collect_run.output,
        shards=shards_of,
        reference=lambda w: f"{RESULTS}/references/{reference_of(w.model)}.npz",
        weights=lambda w: manifest(config["references"][reference_of(w.model)]["weights"]),
    output:
        metrics=f"{RUN}/metrics.json",
        features=f"{RUN}/features.npz",
    resources:
        gpu=gpus,
        mem_mb=6000,
        runtime=240,
    params:
        code=code("metrics"),
        extractor=extractor_of,
        features=lambda w, output: f"--features {shlex.quote(output.features)}",
    shell:
        on_device("metrics", MEASURED)


use rule metrics as metrics_of_first with:
    input:
        run=rules.collect_first.output,
        shards=first_shards_of,
        reference=rules.metrics.input.reference,
        weights=rules.metrics.input.weights,
    output:
        metrics=f"{RUN}/metrics-{{images}}.json",
    params:
        code=code("metrics"),
        extractor=extractor_of,
        features="",


rule paired:
    input:
        run=rules.metrics.output.features,
        baseline=f"{BASELINE}/features.npz",
        reference=rules.metrics.input.reference,
    output:
        f"{RUN}/paired.json",
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        code=code("paired"),
        resamples=config["paired_resamples"],
    shell:
        program(
            "paired",
            f"{COMPARED} --reference {{input.reference}} --resamples {{params.resamples}} --output {{output}}",
        )


rule clip_score:
    input:
        run=rules.collect_run.output,
        shards=shards_of,
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
        shards=first_shards_of,
        prompts=prompts_manifest,
        weights=rules.clip_score.input.weights,
    output:
        f"{RUN}/clip_score-{{images}}.json",


rule paired_fidelity:
    input:
        run=rules.collect_run.output,
        shards=shards_of,
        baseline=f"{BASELINE}/run.json",
        baseline_shards=lambda w: shard_paths(BASELINE.format(**w), w.model),
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
