"""`python -m metta_checks`: the command where no entry point was installed."""

from metta_checks.cli import main

main(prog_name="metta-checks")
