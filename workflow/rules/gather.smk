# For clips whose camera pans, tilts or zooms (the sheet's camera_moves); no other clip asks for it.


rule camera:
    input:
        video=ancient(video_of),
        detections=f"{RESULTS}/{{subject}}/detect/{{detector}}/{{clip}}.h5",
        calibration=calibration_of,
    output:
        f"{RESULTS}/{{subject}}/camera/{{detector}}/{{clip}}.json",
    log:
        f"{RESULTS}/{{subject}}/logs/camera.{{detector}}.{{clip}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1500),
        runtime=more_time(120),
        gpu=0,
    params:
        stage=camera_fingerprint,
    shell:
        "posemill camera {input.video:q} {input.detections:q} --output {output:q} --stage {params.stage:q} 2> {log:q}"


rule gather:
    input:
        detections=detections,
        calibrations=calibrations,
        paths=camera_paths,
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
