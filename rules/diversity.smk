# Diversity: how different the images are that one prompt gives with several seeds, with and without caching.
DIVERSITY_SEEDS = config["diversity"]["seeds"]
# `model/sampler/method` of all that is measured.
DIVERSITY_VARIANTS = list(dict.fromkeys(str(run.path.parent) for run in diversity_runs(config)))
# The samples are asked for by name, as in KEPT.
DIVERSITY = [
    *table_files("diversity"),
    f"{RESULTS}/figures/diversity.png",
    *(shard for run in diversity_runs(config) for shard in kept_shards(f"{RESULTS}/{run.path}", run.model)),
]


rule measure_diversity:
    input:
        runs=expand(f"{RUN}/run.json", seed=DIVERSITY_SEEDS, allow_missing=True),
        clip_scores=expand(f"{RUN}/clip_score.json", seed=DIVERSITY_SEEDS, allow_missing=True),
        shards=lambda w: [shard for seed in DIVERSITY_SEEDS for shard in shards_of({**w, "seed": seed})],
        perceptual=rules.paired_fidelity.input.perceptual,
    output:
        f"{RESULTS}/{{model}}/{{sampler}}/{{method}}/diversity.json",
    resources:
        gpu=gpus,
        mem_mb=6000,
        runtime=240,
    params:
        code=code("diversity"),
    shell:
        on_device(
            "diversity",
            "--runs {input.runs} --clip-scores {input.clip_scores} --perceptual {input.perceptual}"
            " --output {output}",
        )


rule write_diversity:
    input:
        diversity=[f"{RESULTS}/{variant}/diversity.json" for variant in DIVERSITY_VARIANTS],
    output:
        csv=table_files("diversity")[0],
        markdown=table_files("diversity")[1],
    params:
        code=code("diversity_table"),
        title=as_function(config["diversity"]["title"]),
    shell:
        program("diversity_table", "--diversity {input.diversity} --title {params.title:q} --output {output.csv}")


rule draw_diversity:
    input:
        diversity=rules.write_diversity.input.diversity,
        first=[f"{RESULTS}/{run.path}/first.npz" for run in diversity_runs(config)],
    output:
        f"{RESULTS}/figures/diversity.png",
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("diversity_figure"),
        title=as_function(config["diversity"]["title"]),
        prompts=config["diversity"]["prompts"],
    shell:
        program(
            "diversity_figure",
            "--diversity {input.diversity} --title {params.title:q} --prompts {params.prompts:q} --output {output}",
        )


rule diversity:
    input:
        SUITE,
        DIVERSITY,
