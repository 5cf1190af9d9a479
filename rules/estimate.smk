# What a suite will cost: images, MACs, GPU hours, downloads, disk.


rule estimate:
    localrule: True
    params:
        suite=whole_config,
    shell:
        f"printf '%s' {{params.suite:q}} | {asked_for('estimate', '--suite -')}"
