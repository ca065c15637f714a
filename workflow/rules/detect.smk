# The video is ancient(): what counts is its content, which is part of the fingerprint. A truth, for the detectors that
# look at one, is the second argument.


rule detect:
    input:
        ancient(video_of),
        truth_to_detect,
    output:
        f"{RESULTS}/{{subject}}/detect/{{detector}}/{{clip}}.h5",
    log:
        f"{RESULTS}/{{subject}}/logs/detect.{{detector}}.{{clip}}.log",
    threads: 1
    resources:
        mem_mb=more_memory(1500),
        runtime=more_time(240),
        gpu=0,
    params:
        stage=detect_fingerprint,
    shell:
        "posemill detect {input:q} --output {output:q} --stage {params.stage:q} 2> {log:q}"
