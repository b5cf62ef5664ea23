"""What every check shares: targets and results, samples, credentials, time, HTTP, state."""

from metta_checks.core.check import MettaCheck
from metta_checks.core.collection import Collection
from metta_checks.core.errors import CredentialError, Kind, SourceError
from metta_checks.core.sample import Event, Sample
from metta_checks.core.tags import tag
from metta_checks.core.target import Dropped, DropReason, Result, Status, Target, Unknown

__all__ = [
    "Collection",
    "CredentialError",
    "DropReason",
    "Dropped",
    "Event",
    "Kind",
    "MettaCheck",
    "Result",
    "Sample",
    "SourceError",
    "Status",
    "Target",
    "Unknown",
    "tag",
]
