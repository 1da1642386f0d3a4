# Target setting: a search over the points of all submissions, the best one again with other seeds, and the target that
# these make. The trials of both phases are run by the rules of train.smk; the second is known when the first is over.


wildcard_constraints:
    workload="[a-z0-9_]+",


checkpoint best_point:
    input:
        search=lambda wildcards: EXPERIMENT.target_search(wildcards.workload),
        again=lambda wildcards: EXPERIMENT.remade_best_point(workflow.dag, wildcards.workload),
    output:
        best=EXPERIMENT.best_point("{workload}"),
    log:
        EXPERIMENT.log("best_point_{workload}"),
    localrule: True
    params:
        protocol=EXPERIMENT.config.protocol,
        labels=",".join(entry.label for entry in EXPERIMENT.config.submissions),
        points=EXPERIMENT.target_setting.points,
        results=EXPERIMENT.config.results_dir,
    shell:
        "algoperf targets best {wildcards.workload} --protocol {params.protocol} --submissions {params.labels:q}"
        " --points {params.points} --results {params.results:q} --out {output.best:q} 2> >(tee {log:q} >&2)"


rule target:
    input:
        best=EXPERIMENT.best_point("{workload}"),
        repeats=lambda wildcards: EXPERIMENT.target_repeats(checkpoints.best_point.get(**wildcards).output.best),
    output:
        record=f"{EXPERIMENT.targets}/{{workload}}.json",
    log:
        EXPERIMENT.log("target_{workload}"),
    localrule: True
    params:
        seeds=EXPERIMENT.target_setting.seeds,
        results=EXPERIMENT.config.results_dir,
    shell:
        "algoperf targets set {input.best:q} --seeds {params.seeds} --results {params.results:q}"
        " --out {output.record:q} 2> >(tee {log:q} >&2)"


rule target_table:
    input:
        records=[f"{EXPERIMENT.targets}/{workload}.json" for workload in EXPERIMENT.workloads],
    output:
        **{kind: f"{EXPERIMENT.targets}/targets.{kind}" for kind in ("csv", "svg", "png")},
    log:
        EXPERIMENT.log("target_table"),
    localrule: True
    shell:
        'algoperf targets table {input.records:q} --out "$(dirname {output.csv:q})" 2> >(tee {log:q} >&2)'


rule targets:
    input:
        # The trials, too: one whose result is gone is run again even where the target is still there.
        # Asked for only where targets are set: a submission of self-tuning may have no points to search.
        lambda wildcards: [result for workload in EXPERIMENT.workloads for result in EXPERIMENT.target_search(workload)],
        lambda wildcards: [
            result
            for workload in EXPERIMENT.workloads
            for result in EXPERIMENT.target_repeats(checkpoints.best_point.get(workload=workload).output.best)
        ],
        rules.target_table.output,
