# Calibration: plans of full steps and weights, each for one model, sampler and branch. Plans that ship are used as they are.


rule record_features:
    input:
        code=code("beyond/record_features"),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
    output:
        f"{RESULTS}/plans/{{model}}/{{sampler}}/recorded-b{{branch}}.npz",
    resources:
        gpu=GPUS,
        mem_mb=16000,
        runtime=240,
    params:
        model=model_options,
        recorded=recording_options,
    shell:
        on_device("beyond/record_features", "{params.model} {params.recorded} --output {output}")


rule calibrate:
    input:
        code=code("beyond/calibrate"),
        checkpoint=model_manifest,
        prompts=prompts_manifest,
        recorded=rules.record_features.output,
    output:
        f"{RESULTS}/plans/{{model}}/{{sampler}}/chosen-n{{interval}}-b{{branch}}.json",
    resources:
        gpu=GPUS,
        mem_mb=8000,
        runtime=480,
    params:
        model=model_options,
        method=calibration_options,
    shell:
        on_device("beyond/calibrate", "--recorded {input.recorded} {params.model} {params.method} --output {output}")
