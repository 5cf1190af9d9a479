# Target latency: speed of the paper's architectures beside what the MACs promise, with random weights.
LATENCY_TABLE = "results/benchmark/speed.csv"


rule time_architecture:
    output:
        speed=f"{RESULTS}/latency/{{architecture}}/speed.csv",
        operations=f"{RESULTS}/latency/{{architecture}}/operations.csv",
    # As time_models: nothing else runs meanwhile.
    threads: whole_machine(LATENCY["threads"])
    resources:
        gpu=gpus,
        mem_mb=16000,
        runtime=240,
    params:
        code=code("latency"),
        options=latency_options,
    shell:
        timed("latency", "{params.options} --output {output.speed} --operations {output.operations}")


rule write_latency:
    input:
        measured=[f"{RESULTS}/latency/{architecture}/speed.csv" for architecture in LATENCY["models"]],
        operations=[f"{RESULTS}/latency/{architecture}/operations.csv" for architecture in LATENCY["models"]],
    output:
        csv=LATENCY_TABLE,
        markdown=LATENCY_TABLE.replace(".csv", ".md"),
        figure=LATENCY_TABLE.replace(".csv", ".png"),
    params:
        code=code("latency_table"),
    shell:
        program("latency_table", "--measured {input.measured} --operations {input.operations} --output {output.csv}")


if LATENCY["models"]:

    rule latency:
        input:
            rules.write_latency.output,
