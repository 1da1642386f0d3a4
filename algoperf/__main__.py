"""`python -m algoperf`: the command line without its entry point."""

from algoperf.cli import main

main()
