"""Run the command line as ``python -m gendist``."""

from gendist.cli.app import main

if __name__ == "__main__":
    main()
