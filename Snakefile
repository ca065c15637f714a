# The workflow itself is in workflow/; this file lets `snakemake` be typed in the checkout's root.
include: "workflow/Snakefile"


workflow.default_target = "all"
