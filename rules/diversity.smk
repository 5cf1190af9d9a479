# Diversity: how different the images are that one prompt gives with several seeds, with and without caching.
DIVERSITY_SEEDS = config["diversity"]["seeds"]
# `model/sampler/method` of all that is measured.
DIVERSITY_VARIANTS = list(dict.fromkeys(str(run.path.parent) for run in diversity_runs(config)))
# The samples are asked for by name, as in KEPT.
DIVERSITY = [
    f"{RESULTS}/tables/diversity.csv",
    f"{RESULTS}/figures/diversity.png",
    *(shard for run in diversity_runs(config) for shard in shard_paths(f"{RESULTS}/{run.path}", run.model)),
]


rule measure_diversity:
    input:
        code=code(
            "diversity",
            "metrics/diversity.py",
            "metrics/intervals.py",
            "metrics/paired_fidelity.py",
            "metrics/perceptual.py",
            "models/classifier.py",
            "results/seeds.py",
            "sampling/shards.py",
        ),
        runs=expand(f"{RUN}/run.json", seed=DIVERSITY_SEEDS, allow_missing=True),
        clip_scores=expand(f"{RUN}/clip_score.json", seed=DIVERSITY_SEEDS, allow_missing=True),
        perceptual=rules.paired_fidelity.input.perceptual,
    output:
        f"{RESULTS}/{{model}}/{{sampler}}/{{method}}/diversity.json",
    log:
        f"{RESULTS}/{{model}}/{{sampler}}/{{method}}/logs/diversity.log",
    benchmark:
        f"{RESULTS}/{{model}}/{{sampler}}/{{method}}/benchmarks/diversity.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=6000,
        runtime=240,
    params:
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/diversity.py --runs {input.runs} --clip-scores {input.clip_scores}"
        " --perceptual {input.perceptual} --device {params.device} --threads {threads} --output {output} --log {log}"


rule write_diversity:
    input:
        code=code(
            "diversity_table",
            "metrics/diversity.py",
            "metrics/intervals.py",
            "results/diversity.py",
            "results/markdown.py",
        ),
        diversity=[f"{RESULTS}/{variant}/diversity.json" for variant in DIVERSITY_VARIANTS],
    output:
        csv=f"{RESULTS}/tables/diversity.csv",
        markdown=f"{RESULTS}/tables/diversity.md",
    log:
        f"{RESULTS}/logs/tables/diversity.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables/diversity.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        title=config["diversity"]["title"],
    shell:
        "python workflow/preloaded.py workflow/scripts/diversity_table.py --diversity {input.diversity}"
        " --title {params.title:q} --output {output.csv} --log {log}"


rule draw_diversity:
    input:
        code=code(
            "diversity_figure",
            "figures/diversity.py",
            "figures/style.py",
            "metrics/diversity.py",
            "metrics/intervals.py",
            "results/diversity.py",
        ),
        diversity=rules.write_diversity.input.diversity,
    output:
        f"{RESULTS}/figures/diversity.png",
    log:
        f"{RESULTS}/logs/figures/diversity.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/diversity.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        title=config["diversity"]["title"],
        prompts=config["diversity"]["prompts"],
    shell:
        "python workflow/preloaded.py workflow/scripts/diversity_figure.py --diversity {input.diversity}"
        " --title {params.title:q} --prompts {params.prompts} --output {output} --log {log}"


rule diversity:
    input:
        DIVERSITY,
