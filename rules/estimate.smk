# What a suite will cost: images, MACs, GPU hours, downloads, disk.


rule estimate:
    localrule: True
    params:
        suite=whole_config,
    shell:
        # On its own, since what it prints is what was asked for.
        "printf '%s' {params.suite:q} | python \"$DEEPCACHE_ROOT\"/workflow/scripts/estimate.py --suite - --log {log}"
