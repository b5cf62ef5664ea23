"""What every check shares: the collection, samples, credentials, time, HTTP, state."""

from metta_checks.core.check import MettaCheck
from metta_checks.core.collection import Collection, Reason
from metta_checks.core.errors import CredentialError, Kind, SourceError
from metta_checks.core.sample import Event, Sample
from metta_checks.core.tags import tag

__all__ = [
    "Collection",
    "CredentialError",
    "Event",
    "Kind",
    "MettaCheck",
    "Reason",
    "Sample",
    "SourceError",
    "tag",
]
