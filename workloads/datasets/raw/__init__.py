"""The raw files of the datasets: where the official ones are found, and what the mini ones are made of.

It imports no dataset.
"""
