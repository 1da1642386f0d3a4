"""A contact sheet: examples of a store as a person can look at them, on one page that needs no other file.

It imports no dataset.
"""
