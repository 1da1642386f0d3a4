# Trials -> leaderboard, performance profile, tables: one folder for each ruleset.


rule score_ruleset:
    input:
        lambda wildcards: EXPERIMENT.results(wildcards.ruleset),
    output:
        [f"{EXPERIMENT.scores('{ruleset}')}/{name}" for name in ("scores.csv", "report.html")],
    localrule: True
    params:
        logs=lambda wildcards: EXPERIMENT.logs(wildcards.ruleset),
        protocol=EXPERIMENT.config.protocol,
        partial=lambda wildcards: EXPERIMENT.partial(wildcards.ruleset),
    shell:
        "algoperf score {params.logs:q} --protocol {params.protocol} --ruleset {wildcards.ruleset}"
        " {params.partial:q} --out $(dirname {output[0]:q})"
