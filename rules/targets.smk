# Target setting: a search over the points of all submissions, the best one again with other seeds, and the target that
# these make. The trials of both phases are run by the rules of train.smk; the second is known when the first is over.


wildcard_constraints:
    workload="[a-z0-9_]+",


checkpoint best_point:
    input:
        lambda wildcards: EXPERIMENT.target_search(wildcards.workload),
    output:
        EXPERIMENT.best_point("{workload}"),
    localrule: True
    params:
        protocol=EXPERIMENT.config.protocol,
        labels=",".join(entry.label for entry in EXPERIMENT.config.submissions),
        points=EXPERIMENT.target_setting.points,
    shell:
        "algoperf targets best {wildcards.workload} --protocol {params.protocol} --submissions {params.labels:q}"
        " --points {params.points} --results {EXPERIMENT.config.results_dir:q} --out {output:q}"


rule target:
    input:
        best=EXPERIMENT.best_point("{workload}"),
        repeats=lambda wildcards: EXPERIMENT.target_repeats(checkpoints.best_point.get(**wildcards).output[0]),
    output:
        f"{EXPERIMENT.targets}/{{workload}}.json",
    localrule: True
    params:
        seeds=EXPERIMENT.target_setting.seeds,
    shell:
        "algoperf targets set {input.best:q} --seeds {params.seeds} --results {EXPERIMENT.config.results_dir:q}"
        " --out {output:q}"


rule target_table:
    input:
        [f"{EXPERIMENT.targets}/{workload}.json" for workload in EXPERIMENT.workloads],
    output:
        [f"{EXPERIMENT.targets}/targets.{kind}" for kind in ("csv", "svg", "png")],
    localrule: True
    shell:
        "algoperf targets table {input:q} --out $(dirname {output[0]:q})"


rule targets:
    input:
        # The trials, too: one whose result is gone is run again even where the target is still there.
        [EXPERIMENT.target_search(workload) for workload in EXPERIMENT.workloads],
        lambda wildcards: [
            result
            for workload in EXPERIMENT.workloads
            for result in EXPERIMENT.target_repeats(checkpoints.best_point.get(workload=workload).output[0])
        ],
        rules.target_table.output,
