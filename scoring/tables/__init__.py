"""A scoring as files: tables, pictures, and the leaderboard of a terminal.

It imports `result.py` and what that is made of.
"""
