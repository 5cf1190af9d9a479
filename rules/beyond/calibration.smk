# Calibration: plans of full steps and weights, each for one model, sampler and branch. Plans that ship are used as they are.


rule record_features:
    input:
        checkpoint=model_manifest,
        prompts=calibration_prompts,
    output:
        f"{RESULTS}/plans/{{model}}/{{sampler}}/recorded-b{{branch}}.npz",
    resources:
        gpu=gpus,
        mem_mb=16000,
        runtime=240,
    params:
        code=code("beyond/record_features"),
        model=calibrated_model_options,
        recorded=recording_options,
    shell:
        on_device("beyond/record_features", "{params.model} {params.recorded} --output {output}")


rule calibrate:
    input:
        checkpoint=model_manifest,
        prompts=calibration_prompts,
        recorded=rules.record_features.output,
    output:
        f"{RESULTS}/plans/{{model}}/{{sampler}}/chosen-n{{interval}}-b{{branch}}.json",
    resources:
        gpu=gpus,
        mem_mb=8000,
        runtime=480,
    params:
        code=code("beyond/calibrate"),
        model=calibrated_model_options,
        method=calibration_options,
    shell:
        on_device("beyond/calibrate", "--recorded {input.recorded} {params.model} {params.method} --output {output}")
