# Searches by successive halving: a round compares its candidates on a few images, and keeps the better half.


checkpoint screening:
    input:
        scores=screened_scores,
    output:
        f"{RESULTS}/searches/{{search}}/first-{{images}}.json",
    params:
        code=code("screening"),
        options=screening_options,
    shell:
        unloaded("screening", "--scores {input.scores} {params.options} --output {output}")
