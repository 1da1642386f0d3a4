"""How sure a score is, and what it hangs on: resampling, and one left out.

It imports `rules/` and the table of `logs/`.
"""
