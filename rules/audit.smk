# The audit: whether everything still rests on what it was made from.


rule audit:
    input:
        rules.all.input,
    localrule: True
    shell:
        asked_for("audit", RESULTS)
