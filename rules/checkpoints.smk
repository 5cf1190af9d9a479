# Checkpoints: one rule for each source; each ends in a manifest, verified, through which everything opens them.


rule train_checkpoint:
    input:
        lambda w: teacher_files(w.checkpoint),
    output:
        directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
    wildcard_constraints:
        checkpoint=from_sources("train"),
    threads: 2
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        code=code("train"),
        options=lambda w: train_options(w.checkpoint),
    shell:
        program("train", "{params.options} --threads {threads} --output {output}")


# The paper's architectures without their weights, for the smoke suite.
rule random_checkpoint:
    output:
        directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
    wildcard_constraints:
        checkpoint=from_sources("random"),
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        code=code("random_checkpoint"),
        options=lambda w: random_options(w.checkpoint),
    shell:
        program("random_checkpoint", "{params.options} --threads {threads} --output {output}")


rule checkpoint_in_place:
    input:
        files=checkpoint_files,
    output:
        f"{RESULTS}/checkpoints/{{checkpoint}}.json",
    wildcard_constraints:
        checkpoint=from_sources("shipped", "train", "random", "local", "package"),
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code("checkpoint"),
        options=lambda w: checkpoint_options(w.checkpoint),
    shell:
        program("checkpoint", "{params.options} --output {output}")


# What arrives stays in results/downloads, where an interrupted download goes on.
use rule checkpoint_in_place as checkpoint_from_hub with:
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
