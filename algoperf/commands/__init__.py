"""The command line: each command imports what it needs when it runs, so that `--help` starts at once.

It imports every room; no room imports it.
"""
