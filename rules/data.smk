# Raw files into prepared stores: one generated rule for each dataset, named data_<dataset>.

for dataset, workload in EXPERIMENT.datasets.items():

    rule:
        name:
            f"data_{dataset}"
        output:
            EXPERIMENT.manifest(dataset),
        # Compute nodes have no internet: data are fetched where Snakemake runs.
        localrule: True
        params:
            workload=workload,
            scale=EXPERIMENT.scale,
        shell:
            "algoperf data prepare {params.workload} --scale {params.scale} --data-dir {EXPERIMENT.config.data_dir:q}"
