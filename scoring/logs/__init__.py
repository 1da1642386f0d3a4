"""A tree of logs, ours or anyone's, in whatever state it is -> one row for each trial, and what is wrong with it.

It imports no other room of `scoring/` but `published/`.
"""
