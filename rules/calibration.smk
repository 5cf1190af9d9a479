# Calibration: plans of full steps and weights, each for one model, sampler and branch. Plans that ship are used as they are.


rule record_features:
    input:
        code=code(
            "record_features",
            "calibration/calibrate.py",
            "calibration/gram.py",
            "calibration/importance.py",
            "calibration/recording.py",
            "caching/engine.py",
        ),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
    output:
        f"{RESULTS}/plans/{{model}}/{{sampler}}/recorded-b{{branch}}.npz",
    log:
        f"{RESULTS}/logs/plans/{{model}}/{{sampler}}/recorded-b{{branch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plans/{{model}}/{{sampler}}/recorded-b{{branch}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=16000,
        runtime=240,
    params:
        images=config["calibration"]["recorded"],
        seed=config["calibration"]["seed"],
        precision=lambda w: precision_of(w.model),
        prompts=lambda w, input: f"--prompts {input.prompts}" if input.prompts else "",
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/record_features.py --checkpoint {input.checkpoint}"
        " --sampler {wildcards.sampler} --branch {wildcards.branch} --images {params.images} --seed {params.seed}"
        " --precision {params.precision} {params.prompts} --device {params.device} --threads {threads} --output {output} --log {log}"


rule calibrate:
    input:
        code=code(
            "calibrate",
            "calibration/calibrate.py",
            "calibration/choose.py",
            "calibration/optimise.py",
            "calibration/plan.py",
            "calibration/residuals.py",
            "caching/engine.py",
            "caching/schedules.py",
            "caching/weighted.py",
        ),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        recorded=f"{RESULTS}/plans/{{model}}/{{sampler}}/recorded-b{{branch}}.npz",
    output:
        f"{RESULTS}/plans/{{model}}/{{sampler}}/chosen-n{{interval}}-b{{branch}}.json",
    log:
        f"{RESULTS}/logs/plans/{{model}}/{{sampler}}/chosen-n{{interval}}-b{{branch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plans/{{model}}/{{sampler}}/chosen-n{{interval}}-b{{branch}}.tsv"
    conda:
        "../envs/deepcache.yaml"
    resources:
        gpu=gpus(),
        mem_mb=8000,
        runtime=480,
    params:
        images=config["calibration"]["sampled"],
        screened=config["calibration"]["screened"],
        seed=config["calibration"]["seed"] + 1,
        precision=lambda w: precision_of(w.model),
        prompts=lambda w, input: f"--prompts {input.prompts}" if input.prompts else "",
        device=config["device"],
    shell:
        "python workflow/preloaded.py workflow/scripts/calibrate.py --checkpoint {input.checkpoint} --recorded {input.recorded}"
        " --sampler {wildcards.sampler} --method chosen-n{wildcards.interval}-b{wildcards.branch} --images {params.images}"
        " --screened {params.screened} --seed {params.seed} --precision {params.precision} {params.prompts}"
        " --device {params.device} --threads {threads} --output {output} --log {log}"
