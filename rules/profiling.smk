# MACs, memory and wall-clock time, apart from sampling.
MACS = "results/macs/paper_models.csv"


rule model_macs:
    input:
        code=code("model_macs", "caching", "sampling/families.py", "metrics/macs.py", "models/dummy_inputs.py"),
        checkpoint=model_manifest,
    output:
        f"{RESULTS}/macs/{{model}}.json",
    log:
        f"{RESULTS}/logs/macs/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/macs/{{model}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        branches=lambda w: branches_of(w.model),
    shell:
        "python workflow/preloaded.py workflow/scripts/model_macs.py --checkpoint {input.checkpoint}"
        " --branches {params.branches} --output {output} --log {log}"


rule memory:
    input:
        code=code("memory", "caching", "sampling", "metrics/memory.py"),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
    output:
        f"{RESULTS}/memory/{{model}}.json",
    log:
        f"{RESULTS}/logs/memory/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/memory/{{model}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=16000,
        runtime=60,
    params:
        sampler=lambda w: config["models"][w.model]["sampler"],
        branches=lambda w: branches_of(w.model),
        precision=lambda w: precision_of(w.model),
        prompts=lambda w, input: f"--prompts {input.prompts}" if input.prompts else "",
        batch_size=config["latency"]["batch_size"],
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/memory.py --checkpoint {input.checkpoint} --sampler {params.sampler}"
        " --branches {params.branches} --batch-size {params.batch_size} --precision {params.precision} {params.prompts}"
        " --device {params.device} --threads {threads} --output {output} --log {log}"


rule time_models:
    input:
        code=code("latency", "caching", "sampling", "metrics/latency.py"),
        checkpoints=lambda w: [manifest(config["models"][model]["checkpoint"]) for model in timed_models(w)],
        prompts=lambda w: [dataset_manifest(name) for name in timed_prompts(w).values()],
        plans=lambda w: list(timed_plans(w).values()),
    output:
        f"{RESULTS}/latency/{{group}}.json",
    log:
        f"{RESULTS}/logs/latency/{{group}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/latency/{{group}}.tsv"
    wildcard_constraints:
        group="|".join(config["models"]),
    conda:
        "../envs/deepcache.yaml"
    # No other job runs on the machine meanwhile.
    threads: whole_machine(config["latency"]["threads"])
    resources:
        gpu=gpus(),
        mem_mb=16000,
        runtime=240,
    params:
        checkpoints=lambda w: [
            f"{model}={manifest(config['models'][model]['checkpoint'])}" for model in timed_models(w)
        ],
        precision=lambda w: [f"{model}={precision_of(model)}" for model in timed_models(w)],
        prompts=lambda w: [f"{model}={dataset_manifest(name)}" for model, name in timed_prompts(w).items()],
        plans=lambda w: [f"{variant}={plan}" for variant, plan in timed_plans(w).items()],
        variants=lambda w: timed_together(w.group),
        batch_size=config["latency"]["batch_size"],
        repeats=config["latency"]["repeats"],
        threads=config["latency"]["threads"],
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/latency.py --checkpoints {params.checkpoints}"
        " --precision {params.precision} --prompts {params.prompts} --plans {params.plans} --variants {params.variants}"
        " --batch-size {params.batch_size} --repeats {params.repeats} --device {params.device} --threads {params.threads}"
        " --output {output} --log {log}"


rule macs:
    input:
        code=code("macs", "caching", "metrics/macs.py", "models/dummy_inputs.py", "models/paper.py"),
        published=[f"{PUBLISHED}/{name}" for name in sorted(os.listdir(f"{workflow.basedir}/{PUBLISHED}"))],
    output:
        csv=MACS,
        markdown=MACS.replace(".csv", ".md"),
    log:
        "results/macs/logs/paper_models.log",
    benchmark:
        "results/macs/benchmarks/paper_models.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        published=lambda w, input: Path(input.published[0]).parent,
    shell:
        "python workflow/preloaded.py workflow/scripts/macs.py --published {params.published} --output {output.csv} --log {log}"


rule draw_fig4:
    input:
        code=code(
            "branch_macs",
            "caching",
            "figures/branches.py",
            "figures/style.py",
            "metrics/macs.py",
            "models/dummy_inputs.py",
            "models/paper.py",
        ),
    output:
        csv=f"{RESULTS}/macs/branches.csv",
        figure=f"{RESULTS}/figures/fig4.png",
    log:
        f"{RESULTS}/logs/figures/fig4.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/fig4.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    shell:
        "python workflow/preloaded.py workflow/scripts/branch_macs.py --output {output.csv} --figure {output.figure}"
        " --log {log}"


rule fig4:
    input:
        rules.draw_fig4.output,
