# Speed of the paper's architectures beside what the MACs promise, with random weights; not part of `all`.
SPEED_TABLE = "results/benchmark/speed.csv"


rule time_architecture:
    input:
        code=code(
            "benchmark",
            "caching",
            "metrics/latency.py",
            "metrics/macs.py",
            "metrics/memory.py",
            "metrics/operations.py",
            "metrics/profiled.py",
            "metrics/speed.py",
            "metrics/waits.py",
            "models/benchmarked.py",
            "models/dummy_inputs.py",
            "models/paper.py",
        ),
    output:
        speed=f"{RESULTS}/speed/{{architecture}}/speed.csv",
        operations=f"{RESULTS}/speed/{{architecture}}/operations.csv",
    log:
        f"{RESULTS}/logs/speed/{{architecture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/speed/{{architecture}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    # As time_models: nothing else runs meanwhile.
    threads: whole_machine(SPEED["threads"])
    resources:
        gpu=gpus(),
        mem_mb=16000,
        runtime=240,
    params:
        resolution=lambda w: (
            f"--resolution {SPEED['models'][w.architecture]['resolution']}"
            if "resolution" in SPEED["models"][w.architecture]
            else ""
        ),
        batches=lambda w: SPEED["models"][w.architecture].get("batches", SPEED["batches"]),
        intervals=SPEED["intervals"],
        steps=SPEED["steps"],
        repeats=SPEED["repeats"],
        modes=SPEED["modes"],
        precision=SPEED["precision"],
        channels_last="--channels-last" if SPEED["channels_last"] else "",
        threads=SPEED["threads"],
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/benchmark.py --models {wildcards.architecture} {params.resolution}"
        " --batches {params.batches} --intervals {params.intervals} --steps {params.steps} --repeats {params.repeats}"
        " --modes {params.modes} --precision {params.precision} {params.channels_last} --device {params.device}"
        " --threads {params.threads} --output {output.speed} --operations {output.operations} --log {log}"


rule write_speed:
    input:
        code=code("speed", "results/speed.py", "figures/speed.py", "figures/style.py"),
        measured=[f"{RESULTS}/speed/{architecture}/speed.csv" for architecture in SPEED["models"]],
        operations=[f"{RESULTS}/speed/{architecture}/operations.csv" for architecture in SPEED["models"]],
    output:
        csv=SPEED_TABLE,
        markdown=SPEED_TABLE.replace(".csv", ".md"),
        figure=SPEED_TABLE.replace(".csv", ".png"),
    log:
        f"{RESULTS}/logs/speed.log",
    benchmark:
        f"{RESULTS}/benchmarks/speed.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "python workflow/preloaded.py workflow/scripts/speed.py --measured {input.measured}"
        " --operations {input.operations} --output {output.csv} --log {log}"


if SPEED["models"]:

    rule latency:
        input:
            rules.write_speed.output,
