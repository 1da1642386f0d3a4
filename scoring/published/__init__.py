"""Published leaderboards as data: one row for each trial, and the scores that were published.

`python -m scoring.published` makes them from logs; `scoring/logs/published.py` reads them.
"""
