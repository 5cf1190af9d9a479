# Checkpoints: trained here or shipped, and verified before anything uses them.


rule train_checkpoint:
    input:
        code=code("train", "training", "data", "models"),
    output:
        directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
    log:
        f"{RESULTS}/logs/train/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{checkpoint}}.tsv"
    wildcard_constraints:
        checkpoint="|".join(TRAINED) or "$^",
    conda:
        "../envs/deepcache.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        steps=lambda w: config["checkpoints"][w.checkpoint].get("steps", 0),
        seed=lambda w: config["checkpoints"][w.checkpoint].get("seed", 0),
    shell:
        "python workflow/preloaded.py workflow/scripts/train.py --model {wildcards.checkpoint} --output {output} --steps {params.steps}"
        " --seed {params.seed} --threads {threads} --log {log}"


rule checkpoint_manifest:
    input:
        code=code("checkpoint"),
        files=checkpoint_files,
    output:
        f"{RESULTS}/checkpoints/{{checkpoint}}.json",
    log:
        f"{RESULTS}/logs/checkpoints/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/checkpoints/{{checkpoint}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=200,
        runtime=10,
    params:
        folder=lambda w: checkpoint_folder(w.checkpoint),
        source=lambda w: config["checkpoints"][w.checkpoint]["source"],
        sha256=lambda w: [
            f"{file}={digest}"
            for file, digest in config["checkpoints"][w.checkpoint].get("sha256", {}).items()
            if w.checkpoint not in TRAINED
        ],
    shell:
        "python workflow/preloaded.py workflow/scripts/checkpoint.py --name {wildcards.checkpoint} --folder {params.folder}"
        " --source {params.source} --sha256 {params.sha256} --output {output} --log {log}"
