rule lift:
    input:
        keypoints=f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
        weights=lifter_weights,
        poses=poses_of_others,
    output:
        f"{RESULTS}/{{subject}}/lifted3d.{{detector}}.{{lifter}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/lift.{{detector}}.{{lifter}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1500, clip_mb=15),
        runtime=more_time(120),
        gpu=0,
    params:
        stage=lift_fingerprint,
    shell:
        "posemill lift {input.keypoints:q} --output {output:q} --stage - <<< {params.stage:q} 2> {log:q}"
