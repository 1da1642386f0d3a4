"""Raw files -> prepared store -> NumPy batches, without a framework.

A module for each dataset has `fetch`, `prepare` and `open_split`; `prepare.py` finds it by name.
"""
