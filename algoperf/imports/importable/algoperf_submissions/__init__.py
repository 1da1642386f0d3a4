"""The package above all modules of submissions: see `algoperf/imports/packages.py`.

Importing it makes them importable, also in a process that a submission has started.
"""

from algoperf.imports import homes  # noqa: F401
