# Reference statistics: what samples are measured against.


rule reference_statistics:
    input:
        dataset=lambda w: dataset_manifest(config["references"][w.reference]["dataset"]),
        weights=lambda w: manifest(config["references"][w.reference]["weights"]),
    output:
        f"{RESULTS}/references/{{reference}}.npz",
    resources:
        gpu=gpus,
        mem_mb=6000,
        runtime=1440,
    params:
        code=code("reference_statistics"),
        options=lambda w: reference_options(w.reference),
    shell:
        on_device(
            "reference_statistics",
            "--dataset {input.dataset} --weights {input.weights} {params.options} --output {output}",
        )
