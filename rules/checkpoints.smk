# Checkpoints: one rule for each source; each ends in a manifest, verified, through which everything opens them.


rule train_checkpoint:
    input:
        code=code(
            "train",
            "training",
            "data/captions.py",
            "data/digits.py",
            "models/classifier.py",
            "models/clip_vocabulary.py",
            "models/digits.py",
            "models/digits_clip.py",
            "models/digits_sd.py",
            "models/ldm.py",
            "models/ldm_pipeline.py",
            "models/paper_pipelines.py",
        ),
    output:
        directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
    log:
        f"{RESULTS}/logs/train/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{checkpoint}}.tsv"
    wildcard_constraints:
        checkpoint=from_sources("train"),
    conda:
        "../envs/deepcache.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        script="train",
        options=lambda w: train_options(w.checkpoint),
    shell:
        "python workflow/preloaded.py workflow/scripts/{params.script}.py {params.options} --threads {threads}"
        " --output {output} --log {log}"


# The paper's architectures without their weights, for the smoke suite.
use rule train_checkpoint as random_checkpoint with:
    input:
        code=code(
            "random_checkpoint",
            "models/clip_vocabulary.py",
            "models/paper.py",
            "models/paper_pipelines.py",
            "models/random_alexnet.py",
            "models/random_clip.py",
            "models/random_inception.py",
            "models/random_weights.py",
        ),
    log:
        f"{RESULTS}/logs/random/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/random/{{checkpoint}}.tsv"
    wildcard_constraints:
        checkpoint=from_sources("random"),
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        script="random_checkpoint",
        options=lambda w: random_options(w.checkpoint),


rule checkpoint_in_place:
    input:
        code=code("checkpoint", "models/checkpoints.py", "models/sources.py"),
        files=checkpoint_files,
    output:
        f"{RESULTS}/checkpoints/{{checkpoint}}.json",
    log:
        f"{RESULTS}/logs/checkpoints/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/checkpoints/{{checkpoint}}.tsv"
    wildcard_constraints:
        checkpoint=from_sources("shipped", "train", "random", "local"),
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        options=lambda w: checkpoint_options(w.checkpoint),
    shell:
        "python workflow/preloaded.py workflow/scripts/checkpoint.py {params.options} --output {output} --log {log}"


# What arrives stays in results/downloads, where an interrupted download goes on.
use rule checkpoint_in_place as checkpoint_from_hub with:
    input:
        code=code("checkpoint", "models/checkpoints.py", "models/sources.py"),
    wildcard_constraints:
        checkpoint=from_sources("hub"),
    retries: 2
    resources:
        mem_mb=2000,
        runtime=480,


use rule checkpoint_from_hub as checkpoint_from_url with:
    wildcard_constraints:
        checkpoint=from_sources("url"),
    resources:
        # Room for the conversion of LDM-4-G.
        mem_mb=16000,
        runtime=480,
