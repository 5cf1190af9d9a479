# What a suite will cost: images, MACs, GPU hours, downloads, disk.


rule plan:
    log:
        f"{RESULTS}/logs/plan.log",
    localrule: True
    conda:
        "../envs/deepcache.yaml"
    params:
        # A function, since labels in the config hold braces, which are no wildcards.
        suite=lambda wildcards: json.dumps(config),
    shell:
        "printf '%s' {params.suite:q} | python workflow/scripts/plan.py --suite - --log {log}"
