# What people look at: exports, figures against a truth, pictures, the summary.


rule export:
    input:
        f"{RESULTS}/{{subject}}/poses3d.h5",
    output:
        directory(f"{RESULTS}/{{subject}}/export/{{format}}"),
    log:
        f"{RESULTS}/{{subject}}/logs/export.{{format}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(30),
        gpu=0,
    params:
        stage=export_fingerprint,
    shell:
        "posemill export {input:q} --format {wildcards.format} --output {output:q} --stage {params.stage:q} 2> {log:q}"


rule evaluate:
    input:
        keypoints=f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
        merged=f"{RESULTS}/{{subject}}/merged3d.{{detector}}.{{lifter}}.h5",
        truth=truth_of,
    output:
        figures=f"{RESULTS}/{{subject}}/evaluation.{{detector}}.{{lifter}}.json",
        table=f"{RESULTS}/{{subject}}/evaluation.{{detector}}.{{lifter}}.txt",
    log:
        f"{RESULTS}/{{subject}}/logs/evaluate.{{detector}}.{{lifter}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(30),
        gpu=0,
    params:
        stage=stage_only("evaluate"),
    shell:
        "posemill evaluate {input.merged:q} {input.truth:q} --keypoints2d {input.keypoints:q} --output {output.figures:q}"
        " --stage {params.stage:q} 2> {log:q}"


rule quality:
    input:
        keypoints=f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
        merged=f"{RESULTS}/{{subject}}/merged3d.{{detector}}.{{lifter}}.h5",
    output:
        f"{RESULTS}/{{subject}}/quality.{{detector}}.{{lifter}}.json",
    log:
        f"{RESULTS}/{{subject}}/logs/quality.{{detector}}.{{lifter}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(30),
        gpu=0,
    params:
        stage=stage_only("quality"),
    shell:
        "posemill quality {input.merged:q} --keypoints2d {input.keypoints:q} --output {output:q}"
        " --stage {params.stage:q} 2> {log:q}"


rule picture:
    input:
        keypoints=f"{RESULTS}/{{subject}}/keypoints2d.{{detector}}.h5",
        merged=f"{RESULTS}/{{subject}}/merged3d.{{detector}}.{{lifter}}.h5",
        videos=ancient(videos_of),
    output:
        directory(f"{RESULTS}/{{subject}}/pictures/{{detector}}.{{lifter}}"),
    log:
        f"{RESULTS}/{{subject}}/logs/picture.{{detector}}.{{lifter}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(120),
        gpu=0,
    params:
        stage=picture_fingerprint,
    shell:
        "posemill picture {input.keypoints:q} {input.merged:q} {input.videos:q} --output {output:q}"
        " --stage {params.stage:q} 2> {log:q}"


rule summary:
    input:
        merged=[merged_of(subject) for subject in CLIPS.subjects],
        quality=[quality_of(subject) for subject in CLIPS.subjects],
    output:
        f"{RESULTS}/summary.tsv",
    log:
        f"{RESULTS}/logs/summary.log",
    threads: 1
    resources:
        mem_mb=more_memory(1000, clip_mb=15),
        runtime=more_time(10),
        gpu=0,
    params:
        stage=stage_only("summary"),
    shell:
        "posemill summary {input.merged:q} --quality {input.quality:q} --output {output:q} --stage {params.stage:q}"
        " 2> {log:q}"


# The run's last step: it fails, and names them, when clips have failed. The table above stays. What it says of quality
# is for the person at the terminal; it runs there on a cluster, too.


rule check:
    input:
        f"{RESULTS}/summary.tsv",
    output:
        touch(f"{RESULTS}/summary.ok"),
    log:
        f"{RESULTS}/logs/check.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=more_memory(500),
        runtime=more_time(5),
        gpu=0,
    params:
        enforce="--enforce-quality" if SETTINGS.quality.enforce else "",
    shell:
        "posemill check {input:q} {params.enforce} 2> {log:q} && cat {log:q} >&2"
