# The self-contained report that scoring writes beside its tables.


rule report:
    input:
        [f"{EXPERIMENT.scores(ruleset)}/report.html" for ruleset in RULESETS],
