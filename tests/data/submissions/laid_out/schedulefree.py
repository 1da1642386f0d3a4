"""Called like a package that is installed."""

VENDORED = True
