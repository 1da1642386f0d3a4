"""The referee: what a submission does beside returning numbers, seen, timed, and refused or left to people to judge.

It imports `backends/` and what stands below it.
"""
