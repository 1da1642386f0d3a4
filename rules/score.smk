# Trials -> leaderboard, performance profile, tables: one folder for each ruleset.


rule score_ruleset:
    input:
        lambda wildcards: EXPERIMENT.results(wildcards.ruleset),
    output:
        [f"{EXPERIMENT.scores('{ruleset}')}/{name}" for name in ("scores.csv", "report.html")],
    params:
        logs=lambda wildcards: EXPERIMENT.logs(wildcards.ruleset),
        protocol=EXPERIMENT.config.protocol,
    shell:
        "algoperf score {params.logs:q} --protocol {params.protocol} --ruleset {wildcards.ruleset}"
        " --out $(dirname {output[0]:q})"


# Ranks what there is, whatever is missing or still running; it waits for nothing.
rule partial_score:
    params:
        protocol=EXPERIMENT.config.protocol,
        logs=[EXPERIMENT.logs(ruleset) for ruleset in RULESETS],
    shell:
        "for logs in {params.logs:q}; do"
        " algoperf score $logs --protocol {params.protocol} --ruleset $(basename $logs)"
        " --out $(dirname $logs)/scores/$(basename $logs)_partial; done"
