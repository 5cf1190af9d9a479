# Figure 2: how similar features are from step to step.


rule feature_similarity:
    input:
        checkpoint=model_manifest,
        prompts=prompts_manifest,
    output:
        f"{RESULTS}/features/{{model}}.npz",
    wildcard_constraints:
        model="|".join(config["similarity"]["layers"]),
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=240,
    params:
        code=code("feature_similarity"),
        model=model_options,
        sampled=similarity_options,
    shell:
        on_device("feature_similarity", "{params.model} {params.sampled} --output {output}")


rule draw_fig2:
    input:
        recorded=[f"{RESULTS}/features/{model}.npz" for model in config["similarity"]["layers"]],
    output:
        f"{RESULTS}/figures/fig2.png",
    params:
        code=code("fig2"),
        title=as_function(config["similarity"]["title"]),
        threshold=config["similarity"]["threshold"],
    shell:
        program(
            "fig2",
            "--recorded {input.recorded} --title {params.title:q} --threshold {params.threshold} --output {output}",
        )


rule fig2:
    input:
        rules.draw_fig2.output,
