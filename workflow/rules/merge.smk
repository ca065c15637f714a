rule merge:
    input:
        keypoints=f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
        lifted=f"{RESULTS}/{{subject}}/lifted3d.{{detector}}.{{lifter}}.h5",
        placed=f"{RESULTS}/{{subject}}/placed3d.{{detector}}.{{lifter}}.h5",
    output:
        f"{RESULTS}/{{subject}}/merged3d.{{detector}}.{{lifter}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/merge.{{detector}}.{{lifter}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(60),
        gpu=0,
    params:
        stage=stage_only("merge"),
    shell:
        "posemill merge {input.keypoints:q} {input.lifted:q} {input.placed:q} --output {output:q}"
        " --stage {params.stage:q} 2> {log:q}"


rule publish:
    input:
        merged=merged_of_subject,
        methods=f"{RESULTS}/{{subject}}/.methods.json",
    output:
        f"{RESULTS}/{{subject}}/poses3d.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/publish.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(10),
        gpu=0,
    params:
        stage=stage_only("publish"),
    shell:
        "posemill publish {input.merged:q} --output {output:q} --stage {params.stage:q} 2> {log:q}"
