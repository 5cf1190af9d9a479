# Beyond the paper: every way to choose the full steps and to fill in the others, at equal MACs; not part of `all`.


rule sweep:
    input:
        code=code(
            "sweep",
            "calibration",
            "caching",
            "sampling",
            "metrics/clip_score.py",
            "metrics/compared.py",
            "metrics/paired_fidelity.py",
        ),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        recorded=lambda w: (
            f"{RESULTS}/plans/{w.model}/{config['models'][w.model]['sampler']}/recorded-b{w.branch}.npz"
        ),
        plan=lambda w: plan_file(w.model, config["models"][w.model]["sampler"], f"chosen-n{w.interval}-b{w.branch}"),
        reference=lambda w: scored(w)["reference"],
        extractor=lambda w: scored(w)["extractor"],
        clip=lambda w: scored(w)["clip"],
    output:
        f"{RESULTS}/beyond/{{model}}/b{{branch}}-n{{interval}}.json",
    log:
        f"{RESULTS}/logs/beyond/{{model}}/b{{branch}}-n{{interval}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/beyond/{{model}}/b{{branch}}-n{{interval}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=8000,
        runtime=480,
    params:
        sampler=lambda w: config["models"][w.model]["sampler"],
        seeds=BEYOND["seeds"],
        images=lambda w: BEYOND["models"][w.model]["images"],
        screened=config["calibration"]["screened"],
        precision=lambda w: precision_of(w.model),
        scores=score_options,
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/sweep.py --checkpoint {input.checkpoint} --name {wildcards.model}"
        " --sampler {params.sampler} --branch {wildcards.branch} --interval {wildcards.interval} --recorded {input.recorded}"
        " --plan {input.plan} --seeds {params.seeds} --images {params.images} --screened {params.screened}"
        " --precision {params.precision} {params.scores} --device {params.device} --threads {threads} --output {output} --log {log}"


use rule time_models as time_beyond with:
    input:
        code=code("latency", "caching", "sampling", "metrics/latency.py"),
        checkpoints=model_manifest,
        prompts=prompts_manifest,
        plans=lambda w: list(beyond_plans(w.model).values()),
    output:
        f"{RESULTS}/beyond/latency/{{model}}.json",
    log:
        f"{RESULTS}/logs/beyond/latency/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/beyond/latency/{{model}}.tsv"
    params:
        checkpoints=lambda w, input: f"{w.model}={input.checkpoints}",
        precision=lambda w: f"{w.model}={precision_of(w.model)}",
        prompts=lambda w, input: f"{w.model}={input.prompts}" if input.prompts else "",
        plans=lambda w: [f"{variant}={plan}" for variant, plan in beyond_plans(w.model).items()],
        variants=lambda w: beyond_variants(w.model),
        batch_size=config["latency"]["batch_size"],
        repeats=config["latency"]["repeats"],
        threads=config["latency"]["threads"],
        device=config["device"],


rule peers:
    input:
        code=code(
            "peers",
            "caching",
            "sampling",
            "metrics/clip_score.py",
            "metrics/compared.py",
            "metrics/latency.py",
            "metrics/paired_fidelity.py",
            "metrics/peers.py",
        ),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        latency=rules.time_beyond.output,
        macs=f"{RESULTS}/macs/{{model}}.json",
        reference=lambda w: scored(w)["reference"],
        extractor=lambda w: scored(w)["extractor"],
        clip=lambda w: scored(w)["clip"],
    output:
        f"{RESULTS}/beyond/{{model}}/peers.json",
    log:
        f"{RESULTS}/logs/beyond/{{model}}/peers.log",
    benchmark:
        f"{RESULTS}/benchmarks/beyond/{{model}}/peers.tsv"
    conda:
        "../envs/deepcache.yaml"
    # As time_models: nothing else runs meanwhile.
    threads: whole_machine(config["latency"]["threads"])
    resources:
        gpu=gpus(),
        mem_mb=16000,
        runtime=480,
    params:
        sampler=lambda w: config["models"][w.model]["sampler"],
        variants=lambda w: held_variants(w.model),
        seeds=BEYOND["seeds"],
        images=lambda w: BEYOND["models"][w.model]["images"],
        batch_size=config["latency"]["batch_size"],
        repeats=config["latency"]["repeats"],
        threads=config["latency"]["threads"],
        precision=lambda w: precision_of(w.model),
        scores=score_options,
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/peers.py --checkpoint {input.checkpoint} --name {wildcards.model}"
        " --sampler {params.sampler} --latency {input.latency} --variants {params.variants} --macs {input.macs}"
        " --seeds {params.seeds} --images {params.images} --batch-size {params.batch_size} --repeats {params.repeats}"
        " --precision {params.precision} {params.scores} --device {params.device} --threads {params.threads} --output {output} --log {log}"


BEYOND_FILES = {
    "sweeps": [f"{RESULTS}/beyond/{model}/b{branch}-n{interval}.json" for model, branch, interval in swept()],
    "macs": [f"{RESULTS}/macs/{model}.json" for model in BEYOND["models"]],
    "latency": [f"{RESULTS}/beyond/latency/{model}.json" for model in BEYOND["models"]],
    "peers": [f"{RESULTS}/beyond/{model}/peers.json" for model in BEYOND["models"]],
}


rule write_beyond:
    input:
        code=code("beyond_table", "results", "metrics/intervals.py", "metrics/paired_fidelity.py"),
        sweeps=BEYOND_FILES["sweeps"],
        macs=BEYOND_FILES["macs"],
        peers=BEYOND_FILES["peers"],
    output:
        csv=f"{RESULTS}/tables/beyond.csv",
        gains=f"{RESULTS}/tables/beyond_gains.csv",
        markdown=f"{RESULTS}/tables/beyond.md",
    log:
        f"{RESULTS}/logs/tables/beyond.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables/beyond.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        macs=[f"{model}={RESULTS}/macs/{model}.json" for model in BEYOND["models"]],
        goals=[f"{interval}={goal}" for interval, goal in BEYOND["goals"].items()],
    shell:
        "python workflow/preloaded.py workflow/scripts/beyond_table.py --sweeps {input.sweeps} --macs {params.macs}"
        " --peers {input.peers} --goals {params.goals} --output {output.csv} --log {log}"


rule draw_pareto:
    input:
        code=code("pareto", "figures/pareto.py", "figures/style.py", "results/beyond"),
        sweeps=BEYOND_FILES["sweeps"],
        macs=BEYOND_FILES["macs"],
        latency=BEYOND_FILES["latency"],
        peers=BEYOND_FILES["peers"],
    output:
        f"{RESULTS}/figures/fig_pareto.png",
    log:
        f"{RESULTS}/logs/figures/fig_pareto.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/fig_pareto.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        macs=rules.write_beyond.params.macs,
    shell:
        "python workflow/preloaded.py workflow/scripts/pareto.py --sweeps {input.sweeps} --macs {params.macs}"
        " --latency {input.latency} --peers {input.peers} --output {output} --log {log}"


rule draw_forecast:
    input:
        code=code("forecast_figure", "figures/forecast.py", "figures/style.py", "calibration/residuals.py"),
        recorded=list(first_recordings().values()),
    output:
        f"{RESULTS}/figures/fig_forecast.png",
    log:
        f"{RESULTS}/logs/figures/fig_forecast.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/fig_forecast.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        recorded=[f"{model}={path}" for model, path in first_recordings().items()],
    shell:
        "python workflow/preloaded.py workflow/scripts/forecast_figure.py --recorded {params.recorded} --output {output} --log {log}"


rule forecast_cost:
    input:
        code=code(
            "forecast_cost",
            "metrics/forecast_cost.py",
            "metrics/latency.py",
            "caching/reuse.py",
            "models/dummy_inputs.py",
            "models/paper.py",
        ),
    output:
        f"{RESULTS}/tables/forecast_cost.csv",
    log:
        f"{RESULTS}/logs/tables/forecast_cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables/forecast_cost.tsv"
    conda:
        "../envs/deepcache.yaml"
    threads: whole_machine(config["latency"]["threads"])
    resources:
        gpu=gpus(),
        mem_mb=8000,
        runtime=30,
    params:
        threads=config["latency"]["threads"],
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/forecast_cost.py --device {params.device} --threads {params.threads}"
        " --output {output} --log {log}"


if BEYOND["models"]:

    rule fig_forecast:
        input:
            rules.draw_forecast.output,

    rule fig_pareto:
        input:
            rules.draw_pareto.output,

    rule beyond:
        input:
            rules.write_beyond.output,
            rules.draw_pareto.output,
            rules.draw_forecast.output,
            rules.forecast_cost.output,
