# MACs: of the models that are sampled, of the paper's own, and of each skip branch (Figure 4).
MACS = "results/macs/paper_models.csv"


rule model_macs:
    input:
        checkpoint=model_manifest,
    output:
        f"{RESULTS}/macs/{{model}}.json",
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        code=code("model_macs"),
        branches=lambda w: branches_of(w.model),
    shell:
        program("model_macs", "--checkpoint {input.checkpoint} --branches {params.branches} --output {output}")


rule macs:
    input:
        published=published_tables(),
    output:
        csv=MACS,
        markdown=MACS.replace(".csv", ".md"),
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        code=code("macs"),
        published=lambda w: PUBLISHED,
    shell:
        program("macs", "--published {params.published:q} --output {output.csv}")


rule draw_fig4:
    output:
        csv=f"{RESULTS}/macs/branches.csv",
        figure=f"{RESULTS}/figures/fig4.png",
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        code=code("branch_macs"),
    shell:
        program("branch_macs", "--output {output.csv} --figure {output.figure}")


rule fig4:
    input:
        rules.draw_fig4.output,
