"""`python tests/golden compare|record [PLAY …]`: holds the checks against their recordings, or makes new ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from golden_support.command import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python tests/golden", description=__doc__)
    parser.add_argument("action", choices=("compare", "record"))
    parser.add_argument("plays", nargs="*", metavar="PLAY", help="which plays; all of them when none is named")
    arguments = parser.parse_args()
    sys.exit(main(arguments.action, arguments.plays, sys.stdout.write))
