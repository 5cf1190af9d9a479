# What a suite will cost: images, MACs, GPU hours, downloads, disk.


rule plan:
    log:
        f"{RESULTS}/logs/plan.log",
    localrule: True
    conda:
        "../envs/deepcache.yaml"
    params:
        suite=json.dumps(config),
    shell:
        "printf '%s' {params.suite:q} | python workflow/scripts/plan.py --suite - --log {log}"
