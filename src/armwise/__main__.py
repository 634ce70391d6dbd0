"""``python -m armwise``: the command line."""

from armwise.cli import main

if __name__ == "__main__":
    main()
