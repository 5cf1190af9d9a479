# The report: one HTML file with tables, figures, times and where every number comes from.
REPORT = f"{RESULTS}/report"
CONTENTS = contents(config, LAYOUTS)


report: "../workflow/report/description.rst"


rule report_pages:
    input:
        *rules.all.input,
        suite=rules.suite_settings.output,
        features=rules.draw_fig2.input.recorded,
        figures=[
            in_report(item, f"{RESULTS}/figures/{item.name}.png") for item in CONTENTS if item.category == PICTURES
        ],
    output:
        pages=[in_report(item, f"{REPORT}/pages/{item.name}.html") for item in CONTENTS if item.category != PICTURES],
        captions=sorted({f"{REPORT}/captions/{item.name}.rst" for item in CONTENTS}),
    params:
        code=code("report_pages"),
        options=report_options,
    shell:
        unloaded("report_pages", "--suite {input.suite} {params.options}")


rule report:
    input:
        looks=[in_project(f"workflow/report/{name}") for name in ("description.rst", "style.css")],
        suite=rules.suite_settings.output,
        pages=rules.report_pages.output,
    output:
        f"{RESULTS}/report.html",
    localrule: True
    params:
        code=code("report"),
        apart=lambda w: list(made_apart(w)),
        state=state_of_made_apart,
    shell:
        unloaded("report", "--suite {input.suite} --targets report_pages {params.apart} --output {output}")
