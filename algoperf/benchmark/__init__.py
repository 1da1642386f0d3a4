"""What the benchmark is: workloads, protocols, and what a trial is, as facts.

It writes no file, and imports no framework and no other room.
"""
