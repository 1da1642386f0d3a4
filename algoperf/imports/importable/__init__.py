"""What is put on `sys.path` while submissions are loaded: see `algoperf/imports/packages.py`."""
