"""The dress rehearsal: a cell of the benchmark walked through in minutes, as its trials will be run.

Each cell trains some steps, is evaluated, saved, killed, and takes the same step again.
"""
