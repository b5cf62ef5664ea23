"""What every check shares: targets and results, samples, credentials, time, HTTP, state.

The names are imported when they are used, so that `metta_checks.checks` loads neither the Agent's base class nor HTTP.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metta_checks.core.check import MettaCheck
    from metta_checks.core.collection import Collection
    from metta_checks.core.errors import CredentialError, Kind, SourceError
    from metta_checks.core.sample import Event, Sample
    from metta_checks.core.tags import tag
    from metta_checks.core.target import Dropped, DropReason, Result, Status, Target, Unknown
else:
    _MODULES = {
        "check": ("MettaCheck",),
        "collection": ("Collection",),
        "errors": ("CredentialError", "Kind", "SourceError"),
        "sample": ("Event", "Sample"),
        "tags": ("tag",),
        "target": ("DropReason", "Dropped", "Result", "Status", "Target", "Unknown"),
    }
    _MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


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
