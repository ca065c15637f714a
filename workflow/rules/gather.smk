rule gather:
    input:
        detections=detections,
        calibrations=calibrations,
    output:
        f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/gather.{{detector}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(30),
        gpu=0,
    params:
        stage=gather_fingerprint,
    shell:
        "posemill gather {input.detections:q} --output {output:q} --stage - <<< {params.stage:q} 2> {log:q}"
