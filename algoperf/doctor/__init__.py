"""What is wrong with this machine or cluster, and how to mend it.

It imports `progress/`, `experiment/`, `backends/` and what stands below them.
"""
