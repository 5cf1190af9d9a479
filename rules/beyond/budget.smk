# At equal measured time: the tuned plan beside fewer steps and others' methods; not part of `all`.


rule contest:
    input:
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        calibration=calibration_prompts,
        scored_by=scored_by,
    output:
        f"{RESULTS}/budget/{{model}}.json",
    # As time_models: nothing else runs meanwhile.
    threads: whole_machine(config["timing"]["threads"])
    resources:
        gpu=gpus,
        mem_mb=16000,
        runtime=720,
    params:
        code=code("beyond/budget"),
        options=contest_options,
    shell:
        timed("beyond/budget", "{params.options} --output {output}")


rule write_budget:
    input:
        [f"{RESULTS}/budget/{model}.json" for model in BUDGET["models"]],
    output:
        csv=f"{RESULTS}/tables/budget.csv",
        few_steps=f"{RESULTS}/tables/budget_few_steps.csv",
        markdown=f"{RESULTS}/tables/budget.md",
        page=budget_in_report(f"{RESULTS}/report/pages/budget.html", "Tables", "table"),
        figure=budget_in_report(f"{RESULTS}/figures/fig_budget.png", "Figures", "figure"),
    params:
        code=code("beyond/budget_table"),
    shell:
        program(
            "beyond/budget_table",
            "--contests {input} --page {output.page} --figure {output.figure} --output {output.csv}",
        )


if BUDGET["models"]:

    rule budget:
        input:
            rules.write_budget.output,
