# One job for each trial: one generated rule for each workload, named trial_<workload>, so that profiles can set
# resources by workload. The params are a trial's scientific identity: what changes them makes it another trial.

for workload in EXPERIMENT.workloads:

    rule:
        name:
            f"trial_{workload}"
        input:
            # ancient: data that was merely touched does not rerun a finished trial.
            manifest=ancient(EXPERIMENT.manifest_of(workload)),
            again=lambda wildcards, workload=workload: EXPERIMENT.remade_trial(workflow.dag, workload, wildcards),
        output:
            result=EXPERIMENT.result_pattern(workload),
        # Written by the trial itself, where it fails: it says why.
        log:
            EXPERIMENT.error_pattern(workload),
        # Of trials that could begin, those that the others' bounds come from go first.
        priority: lambda wildcards, workload=workload: EXPERIMENT.races.priority(workload, int(wildcards.study))
        # All cores of a single machine; of a node, what the job asks for.
        threads: EXPERIMENT.threads(workload, workflow.resource_settings.cores)
        resources:
            **EXPERIMENT.resources(workload),
            # Profiles of single machines allow one timed job at a time: timing is the product.
            timed=1,
        params:
            workload=workload,
            protocol=EXPERIMENT.config.protocol,
            # As these ask for the output, Snakemake does not compare them with what it ran before: what lies on the
            # disk says itself what it is of (`remade_trial`), in every folder and wherever a submission lies.
            submission=lambda wildcards, output: EXPERIMENT.submission(wildcards.label, wildcards.ruleset),
            identity=lambda wildcards, output, workload=workload: EXPERIMENT.identity(workload, wildcards),
        shell:
            "algoperf trial --workload {params.workload} --framework {wildcards.framework}"
            " --submission {params.submission:q} --protocol {params.protocol} --ruleset {wildcards.ruleset}"
            " --study {wildcards.study} --trial {wildcards.trial}"
            f" {EXPERIMENT.place}{EXPERIMENT.config.settings.options}"
            ' --out "$(dirname {output.result:q})"'
