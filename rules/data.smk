# Raw files into prepared stores: one generated rule for each dataset, named data_<dataset>.

for dataset, workload in EXPERIMENT.datasets.items():

    rule:
        name:
            f"data_{dataset}"
        output:
            manifest=EXPERIMENT.manifest(dataset),
        log:
            EXPERIMENT.log(f"data_{dataset}"),
        # Compute nodes have no internet: data are fetched where Snakemake runs.
        localrule: True
        params:
            workload=workload,
            scale=EXPERIMENT.scale,
            data_dir=EXPERIMENT.config.data_dir,
        shell:
            "algoperf data prepare {params.workload} --scale {params.scale} --data-dir {params.data_dir:q}"
            " 2> >(tee {log:q} >&2)"
