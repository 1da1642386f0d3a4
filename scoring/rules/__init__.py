"""The benchmark's rules as pure functions: trials -> times to target -> profile -> scores and speed-ups.

It imports the table of `logs/`.
"""
