"""`python -m algoperf`: the command line without its entry point."""

from algoperf.commands.cli import main

if __name__ == "__main__":  # processes that are spawned import this module
    main()
