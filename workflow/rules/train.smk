# Weights that lifters.{name}.weights may then name. What was killed goes on from models/{name}.safetensors.run.
rule train:
    input:
        motion=training_motion,
    output:
        "models/{name}.safetensors",
    log:
        "models/logs/{name}.log",
    wildcard_constraints:
        name=r"[a-z0-9_]+",
    threads: 1
    resources:
        mem_mb=more_memory(4000),
        runtime=more_time(2880),
        gpu=0,
    params:
        options=training_options,
    shell:
        "posemill train {wildcards.name} --motion {input.motion:q} --output {output:q} {params.options:q} 2> {log:q}"
