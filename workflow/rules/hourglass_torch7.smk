# detect in three parts, the middle one in the image that has Torch7. What goes between them is a plain file and goes
# when it was read.
TORCH7 = torch7_program()


ruleorder: hourglass_keypoints > detect


rule hourglass_weights:
    output:
        temp(f"{RESULTS}/.hourglass_torch7.t7"),
    log:
        f"{RESULTS}/hourglass_weights.log",
    threads: 1
    resources:
        mem_mb=more_memory(2000),
        runtime=more_time(10),
        gpu=0,
    params:
        stage=torch7_weights_fingerprint,
    shell:
        "posemill hourglass weights --output {output:q} --stage {params.stage:q} 2> {log:q}"


rule hourglass_crops:
    input:
        ancient(video_of),
    output:
        temp(f"{RESULTS}/{{subject}}/detect/hourglass_torch7/{{clip}}.crops"),
    log:
        f"{RESULTS}/{{subject}}/logs/hourglass_crops.{{clip}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1500),
        runtime=more_time(120),
        gpu=0,
    params:
        stage=torch7_clip_fingerprint,
    shell:
        "posemill hourglass crop {input:q} --output {output:q} --stage {params.stage:q} 2> {log:q}"


rule hourglass_peaks:
    input:
        crops=f"{RESULTS}/{{subject}}/detect/hourglass_torch7/{{clip}}.crops",
        weights=f"{RESULTS}/.hourglass_torch7.t7",
    output:
        temp(f"{RESULTS}/{{subject}}/detect/hourglass_torch7/{{clip}}.peaks"),
    log:
        f"{RESULTS}/{{subject}}/logs/hourglass_peaks.{{clip}}.log",
    container:
        image("hourglass")
    threads: 4
    resources:
        mem_mb=more_memory(6000),
        runtime=more_time(720),
        gpu=0,
    params:
        stage=torch7_clip_fingerprint,
    # Torch7's two pools of threads would fight for the processors; the variables give them to one.
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS={threads} {TORCH7} {input.crops:q} {output:q} -weights "
        "{input.weights:q} 2> {log:q}"


rule hourglass_keypoints:
    input:
        ancient(video_of),
        peaks=f"{RESULTS}/{{subject}}/detect/hourglass_torch7/{{clip}}.peaks",
    output:
        f"{RESULTS}/{{subject}}/detect/hourglass_torch7/{{clip}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/detect.hourglass_torch7.{{clip}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1500),
        runtime=more_time(60),
        gpu=0,
    params:
        stage=torch7_clip_fingerprint,
    shell:
        "posemill detect {input[0]:q} --peaks {input.peaks:q} --output {output:q} --stage {params.stage:q} 2> {log:q}"
