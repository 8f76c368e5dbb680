"""`python -m reductauth`."""

from reductauth.cli import main

if __name__ == "__main__":
    main(prog_name="reductauth")
