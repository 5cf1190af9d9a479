# Figure 2: how similar features are from step to step.


rule feature_similarity:
    input:
        code=code(
            "feature_similarity", "caching/branches.py", "metrics/feature_similarity.py", "sampling", "results/runs.py"
        ),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
    output:
        f"{RESULTS}/features/{{model}}.npz",
    log:
        f"{RESULTS}/logs/features/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/features/{{model}}.tsv"
    wildcard_constraints:
        model="|".join(config["similarity"]["layers"]),
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=8000,
        runtime=240,
    params:
        sampler=lambda w: config["models"][w.model]["sampler"],
        layer=lambda w: config["similarity"]["layers"][w.model],
        images=config["similarity"]["images"],
        precision=lambda w: precision_of(w.model),
        prompts=lambda w, input: f"--prompts {input.prompts}" if input.prompts else "",
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/feature_similarity.py --checkpoint {input.checkpoint}"
        " --sampler {params.sampler} --layer {params.layer} --images {params.images} --precision {params.precision}"
        " {params.prompts} --device {params.device} --threads {threads} --output {output} --log {log}"


rule draw_fig2:
    input:
        code=code("fig2", "figures/similarity.py", "figures/style.py", "metrics/feature_similarity.py"),
        recorded=[f"{RESULTS}/features/{model}.npz" for model in config["similarity"]["layers"]],
    output:
        f"{RESULTS}/figures/fig2.png",
    log:
        f"{RESULTS}/logs/figures/fig2.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/fig2.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        title=config["similarity"]["title"],
        threshold=config["similarity"]["threshold"],
    shell:
        "python workflow/preloaded.py workflow/scripts/fig2.py --recorded {input.recorded} --title {params.title:q}"
        " --threshold {params.threshold} --output {output} --log {log}"


rule fig2:
    input:
        rules.draw_fig2.output,
