"""Which trials can no longer change a result: the bounds, and what is known of a trial's siblings.

It imports facts and records, and nothing of a machine: trials, the workflow and the scores ask it alike.
"""
