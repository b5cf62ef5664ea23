from metta_checks.ci import __version__
from metta_checks.ci.check import CiCheck

__all__ = ["CiCheck", "__version__"]
