# The dress rehearsal: each workload with each submission, in the job that its trials will have; then one table of all.

from algoperf.rehearsal.cells import Cells

CELLS = Cells(EXPERIMENT.config)


for workload in EXPERIMENT.workloads:

    rule:
        name:
            f"rehearse_{workload}"
        input:
            data=CELLS.data(workload),
        output:
            record=CELLS.pattern(workload),
        log:
            CELLS.pattern(workload).replace("rehearsal.json", "rehearsal.log"),
        threads: EXPERIMENT.threads(workload, workflow.resource_settings.cores)
        resources:
            **EXPERIMENT.resources(workload),
            timed=1,
        params:
            workload=workload,
            protocol=EXPERIMENT.config.protocol,
            ruleset=RULESETS[0],
            submission=lambda wildcards: EXPERIMENT.submission(wildcards.label, RULESETS[0]),
            options=CELLS.options,
        # A cell that fails is a row of the table, and no reason to stop: its record says why.
        shell:
            "algoperf trial {params.options} --workload {params.workload} --framework {wildcards.framework}"
            " --submission {params.submission:q} --protocol {params.protocol} --ruleset {params.ruleset}"
            f" --study 0 --trial 1 {EXPERIMENT.place} --out $(dirname {{output.record:q}}) || test -s {{output.record:q}}"


rule rehearsal:
    input:
        records=CELLS.records(),
    output:
        table=CELLS.table,
    log:
        EXPERIMENT.log("rehearsal"),
    localrule: True
    shell:
        "algoperf rehearsal {input.records:q} --out $(dirname {output.table:q}) 2> >(tee {log:q} >&2)"
