# Beyond the paper: every way to choose the full steps and to fill in the others, at equal MACs; not part of `all`.


rule sweep:
    input:
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        calibration=calibration_prompts,
        recorded=lambda w: recorded_features(w.model, w.branch),
        plan=swept_plan,
        scored_by=scored_by,
    output:
        f"{RESULTS}/beyond/{{model}}/b{{branch}}-n{{interval}}.json",
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=480,
    params:
        code=code("beyond/sweep"),
        options=sweep_options,
    shell:
        on_device("beyond/sweep", "--recorded {input.recorded} {params.options} --output {output}")


use rule time_models as time_beyond with:
    input:
        checkpoints=model_manifest,
        prompts=prompts_manifest,
        plans=lambda w: list(beyond_plans(w.model).values()),
    output:
        f"{RESULTS}/beyond/timing/{{model}}.json",
    params:
        code=lambda w: code_with("time_models", *map(method_in, beyond_variants(w.model))),
        options=beyond_timing_options,


rule write_beyond:
    input:
        sweeps=BEYOND_FILES["sweeps"],
        macs=BEYOND_FILES["macs"],
    output:
        csv=f"{RESULTS}/tables/beyond.csv",
        gains=f"{RESULTS}/tables/beyond_gains.csv",
        markdown=f"{RESULTS}/tables/beyond.md",
    params:
        code=code("beyond/beyond_table"),
        macs=[f"{model}={RESULTS}/macs/{model}.json" for model in BEYOND["models"]],
        goals=[f"{interval}={goal}" for interval, goal in BEYOND["goals"].items()],
    shell:
        program(
            "beyond/beyond_table",
            "--sweeps {input.sweeps} --macs {params.macs} --goals {params.goals} --output {output.csv}",
        )


rule draw_pareto:
    input:
        sweeps=BEYOND_FILES["sweeps"],
        macs=BEYOND_FILES["macs"],
        timing=BEYOND_FILES["timing"],
    output:
        f"{RESULTS}/figures/fig_pareto.png",
    params:
        code=code("beyond/pareto"),
        macs=rules.write_beyond.params.macs,
    shell:
        program(
            "beyond/pareto",
            "--sweeps {input.sweeps} --macs {params.macs} --timing {input.timing} --output {output}",
        )


rule draw_forecast:
    input:
        recorded=list(first_recordings().values()),
        plans=list(first_plans().values()),
    output:
        f"{RESULTS}/figures/fig_forecast.png",
    params:
        code=code("beyond/forecast_figure"),
        recorded=[f"{model}={path}" for model, path in first_recordings().items()],
        plans=[f"{model}={path}" for model, path in first_plans().items()],
        interval=DRAWN,
    shell:
        program(
            "beyond/forecast_figure",
            "--recorded {params.recorded} --plans {params.plans} --interval {params.interval} --output {output}",
        )


rule forecast_cost:
    output:
        f"{RESULTS}/tables/forecast_cost.csv",
    threads: whole_machine(config["timing"]["threads"])
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=30,
    params:
        code=code("beyond/forecast_cost"),
        threads=config["timing"]["threads"],
    shell:
        timed("beyond/forecast_cost", "--threads {params.threads} --output {output}")


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
