# The self-contained report that scoring writes beside its tables; `snakemake --report FILE.zip` shows it among the jobs.


report: "captions/workflow.rst"


rule report:
    input:
        [f"{EXPERIMENT.scores(ruleset)}/report.html" for ruleset in RULESETS],
