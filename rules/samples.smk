# Samples: shards of a fixed size, and the sidecar of the run that they make up.


rule sample_shard:
    input:
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        plan=lambda w: plan_file(w.model, w.sampler, w.method),
    output:
        shard_output(f"{RUN}/shards/{{shard}}.npz"),
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=1440,
    params:
        code=lambda w: code_with("sample", w.method),
        model=model_options,
        shard=shard_options,
    shell:
        on_device("sample", "{params.model} {params.shard} --output {output}")


rule collect_run:
    input:
        shards=shards_of,
    output:
        f"{RUN}/run.json",
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("collect_run"),
        images=lambda w: config["models"][w.model]["samples"],
    shell:
        program("collect_run", "--shards {input.shards} --images {params.images} --output {output}")


# The first images of a run as a run, for the rounds of a search.
use rule collect_run as collect_first with:
    input:
        shards=first_shards_of,
    output:
        f"{RUN}/run-{{images}}.json",
    params:
        code=code("collect_run"),
        images=lambda w: w.images,


# What pictures show of a run; it stays where the shards do not.
rule first_images:
    input:
        shards=lambda w: shard_paths(RUN.format(**w), w.model, shown_images(config, w.model)),
    output:
        f"{RUN}/first.npz",
    params:
        code=code("first_images"),
        images=lambda w: shown_images(config, w.model),
    shell:
        program("first_images", "--shards {input.shards} --images {params.images} --output {output}")
