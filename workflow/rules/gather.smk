rule gather:
    input:
        detections=detections,
        calibrations=calibrations,
    output:
        f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/gather.{{detector}}.log",
    resources:
        mem_mb=more_memory(2000),
        runtime=30,
    params:
        stage=gather_fingerprint,
    shell:
        "posemill gather {input.detections:q} --output {output:q} --stage - <<< {params.stage:q} 2> {log:q}"
