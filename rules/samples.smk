# Samples: shards of a fixed size, and the sidecar of the run that they make up.


rule sample_shard:
    input:
        code=code("sample", "caching", "sampling", "results/runs.py"),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        plan=lambda w: plan_file(w.model, w.sampler, w.method),
    output:
        f"{RUN}/shards/{{shard}}.npz",
    log:
        f"{RUN}/logs/shard-{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/shard-{{shard}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=8000,
        runtime=1440,
    params:
        shard=lambda w: int(w.shard),
        shard_size=lambda w: config["models"][w.model]["shard_size"],
        batch_size=lambda w: config["models"][w.model]["batch_size"],
        precision=lambda w: precision_of(w.model),
        prompts=lambda w, input: f"--prompts {input.prompts}" if input.prompts else "",
        plan=lambda w, input: f"--plan {input.plan}" if input.plan else "",
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/sample.py --checkpoint {input.checkpoint} --sampler {wildcards.sampler}"
        " --method {wildcards.method} --seed {wildcards.seed} --shard {params.shard} --shard-size {params.shard_size}"
        " --batch-size {params.batch_size} --precision {params.precision} {params.prompts} {params.plan} --device {params.device} --threads {threads} --output {output} --log {log}"


rule collect_run:
    input:
        code=code("collect_run", "sampling/shards.py"),
        shards=lambda w: shard_paths(RUN.format(**w), w.model),
    output:
        f"{RUN}/run.json",
    log:
        f"{RUN}/logs/collect.log",
    benchmark:
        f"{RUN}/benchmarks/collect.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        images=lambda w: config["models"][w.model]["samples"],
    shell:
        "python workflow/preloaded.py workflow/scripts/collect_run.py --shards {input.shards} --images {params.images} --output {output}"
        " --log {log}"
