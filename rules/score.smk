# Trials -> leaderboard, performance profile, tables: one folder for each ruleset.


# What `snakemake --report` shows of them, in this order; captions/ says what each is.
SHOWN = ("report.html", "profile.svg", "scores.csv", "time_to_target.csv", "reasons.csv", "data_quality.csv")


rule score_ruleset:
    input:
        results=lambda wildcards: EXPERIMENT.results(wildcards.ruleset),
        again=lambda wildcards: EXPERIMENT.remade_scores(workflow.dag, wildcards.ruleset),
    output:
        **{
            name.partition(".")[0]: report(
                f"{EXPERIMENT.scores('{ruleset}')}/{name}",
                caption=f"captions/{name.partition('.')[0]}.rst",
                category="{ruleset} tuning",
                labels={"result": name},
            )
            for name in SHOWN
        },
    log:
        EXPERIMENT.log("score_{ruleset}"),
    localrule: True
    params:
        logs=lambda wildcards: EXPERIMENT.logs(wildcards.ruleset),
        protocol=EXPERIMENT.config.protocol,
        plan=EXPERIMENT.plan_file(),
        partial=lambda wildcards: EXPERIMENT.partial(wildcards.ruleset),
    shell:
        "algoperf score {params.logs:q} --protocol {params.protocol} --ruleset {wildcards.ruleset}"
        ' --plan {params.plan:q} {params.partial:q} --out "$(dirname {output.report:q})" 2> >(tee {log:q} >&2)'
