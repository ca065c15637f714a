# For runs with a depth network (the configuration's depth.model); no other asks for it.


rule depth:
    input:
        video=ancient(video_of),
        detections=f"{RESULTS}/{{subject}}/detect/{{detector}}/{{clip}}.h5",
    output:
        f"{RESULTS}/{{subject}}/depth/{{detector}}/{{clip}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/depth.{{detector}}.{{clip}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(4000),
        runtime=more_time(120),
        gpu=0,
    params:
        stage=depth_fingerprint,
    shell:
        "posemill depth {input.video:q} {input.detections:q} --output {output:q} --stage {params.stage:q} 2> {log:q}"


rule skeleton:
    input:
        keypoints=f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
        lifted=f"{RESULTS}/{{subject}}/lifted3d.{{detector}}.{{lifter}}.h5",
        depths=depths,
    output:
        f"{RESULTS}/{{subject}}/skeleton.{{detector}}.{{lifter}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/skeleton.{{detector}}.{{lifter}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(60),
        gpu=0,
    params:
        stage=skeleton_fingerprint,
    shell:
        "posemill skeleton {input.keypoints:q} {input.lifted:q} {input.depths:q} --output {output:q}"
        " --stage - <<< {params.stage:q} 2> {log:q}"


rule place:
    input:
        keypoints=f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
        lifted=f"{RESULTS}/{{subject}}/lifted3d.{{detector}}.{{lifter}}.h5",
        skeleton=skeleton_of,
    output:
        f"{RESULTS}/{{subject}}/placed3d.{{detector}}.{{lifter}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/place.{{detector}}.{{lifter}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(60),
        gpu=0,
    params:
        stage=place_fingerprint,
    shell:
        "posemill place {input.keypoints:q} {input.lifted:q} --skeleton {input.skeleton:q} --output {output:q}"
        " --stage - <<< {params.stage:q} 2> {log:q}"
