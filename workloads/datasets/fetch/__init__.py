"""From the internet to a folder of raw files: official addresses, a person's own links, transfers that may be cut.

A `<dataset>.toml` beside this file says where the raw files of a dataset are, and how large and with which checksum.
It imports no dataset.
"""
