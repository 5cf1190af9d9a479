# Times and memory of the models that are sampled, apart from sampling.


rule time_models:
    input:
        checkpoints=lambda w: [manifest(config["models"][model]["checkpoint"]) for model in timed_models(w)],
        prompts=lambda w: [dataset_manifest(name) for name in timed_prompts(w).values()],
        plans=lambda w: list(timed_plans(w).values()),
    output:
        f"{RESULTS}/timing/{{group}}.json",
    wildcard_constraints:
        group="|".join(config["models"]),
    # No other job runs on the machine meanwhile.
    threads: whole_machine(config["timing"]["threads"])
    resources:
        gpu=gpus,
        mem_mb=16000,
        runtime=240,
    params:
        code=lambda w: code_with("time_models", *map(method_in, timed_together(w.group))),
        options=timing_options,
    shell:
        timed("time_models", "{params.options} --output {output}")


rule memory:
    input:
        checkpoint=model_manifest,
        prompts=prompts_manifest,
    output:
        f"{RESULTS}/memory/{{model}}.json",
    resources:
        gpu=gpus,
        mem_mb=16000,
        runtime=60,
    params:
        code=code("memory"),
        model=model_options,
        measured=memory_options,
    shell:
        on_device("memory", "{params.model} {params.measured} --output {output}")
