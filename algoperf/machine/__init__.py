"""What a trial runs on: the hardware, the processes, the Slurm job and cluster, the folder's lock, the data's place.

It imports `benchmark/` and `records/`.
"""
