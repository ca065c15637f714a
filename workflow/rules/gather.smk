def detections(wildcards):
    return [
        f"{RESULTS}/{c.subject}/detect/{wildcards.detector}/{c.clip}.h5"
        for c in rows(wildcards)
    ]


def calibrations(wildcards):
    return sorted({str(c.calibration) for c in rows(wildcards) if c.calibration})


def gather_fingerprint(wildcards):
    return fingerprint(
        "gather",
        clips={
            c.clip: {
                "camera": c.camera,
                "calibration": str(c.calibration) if c.calibration else None,
                "focal_px": c.focal_px,
                "fov_deg": c.fov_deg,
            }
            for c in rows(wildcards)
        },
    )


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
        "posemill gather {input.detections:q} --output {output:q} --stage {params.stage:q} 2> {log:q}"
