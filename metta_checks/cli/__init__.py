"""The metta-checks command."""

import sys

try:
    from metta_checks.cli.main import main
except ModuleNotFoundError as error:
    if error.name != "click":
        raise

    def main(*_: object, **__: object) -> None:  # type: ignore[misc]
        """Stands in for the command where its one library is missing, as in Agents up to 7.71."""
        sys.exit(f"metta-checks needs click, which this Python lacks: {sys.executable} -m pip install 'click>=8.1.7'")


__all__ = ["main"]
