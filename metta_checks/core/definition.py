"""What the rest of the product needs to know of a check: one definition per check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metta_checks.core.check import MettaCheck
    from metta_checks.core.cost import Formula

TagSet = Mapping[str, frozenset[str] | None]
"""Tag keys, and the values that each can have; None: whatever the source has."""

MetricTags = Mapping[str, tuple[TagSet, ...]]
"""By metric: the tag sets under which its series are submitted. The tags of the instance come on top of each.

A key that ends with a dot stands for every metric below it that is not a key itself; such metrics carry further tags,
which only the source knows.
"""


@dataclass(frozen=True, slots=True)
class RecordOrigin:
    """Where verdicts come from: the namespace of their metrics, and the tags that distinguish suites."""

    namespace: str
    source: str
    workflow_category: str


@dataclass(frozen=True, slots=True)
class SimulatedServer:
    """A loopback server of the simulator: its address, the credential that it accepts, and names in its data."""

    url: str
    credential: str
    names: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What an example instance can read: the simulator's servers by name (`wandb`, `github`), and files in `folder`.

    `folder` is temporary. It holds the sample health records as `training.json` and `eval.json`; an example may write
    further files into it. `serve` starts one more server on loopback, which lasts as long as the sandbox: it gets the
    body of each path (`{"/queue.json": b"{}"}`), answers 404 to others, and returns its address.
    """

    servers: Mapping[str, SimulatedServer]
    folder: Path
    serve: Callable[[Mapping[str, bytes]], str]


@dataclass(frozen=True, slots=True)
class CheckDefinition:
    """One check. The command, boards, the simulator, the generator and the tests iterate over these.

    Where a field is the dotted path of an object, the object is imported when it is asked for: listing the checks
    loads none of them.

    `slug` is the name of the package below `metta_checks`, and `class_path` the check's class in it.
    `variables` are the environment variables that are enough to run the check without a configuration file.
    `path_options` are the options that may name a local file.
    `records` is set for a check that reads health records: where it puts their metrics.
    `cost_path` is the `Formula` behind `metta-checks estimate`.
    `tags_path` is a function from the definition to its `MetricTags`: under which tags each metric is submitted.
    `identity_tags` are the keys of the tags that identify a target in `metta.check.*`.
    `counts` are the gauges that count things, so that their sum over series has a meaning and their mean has none.
    `shares` are the gauges whose mean over time has a meaning, such as a utilisation.
    `example` makes the options of the instance that `metta-checks demo` runs.
    `credential_hint` is where a person may find the credential.
    """

    slug: str
    class_path: str
    description: str
    variables: tuple[str, ...]
    cost_path: str
    tags_path: str
    example: Callable[[Sandbox], Mapping[str, Any]]
    identity_tags: tuple[str, ...] = ()
    path_options: tuple[str, ...] = ()
    records: RecordOrigin | None = None
    counts: frozenset[str] = frozenset()
    shares: frozenset[str] = frozenset()
    credential_hint: str = ""

    @property
    def name(self) -> str:
        """The name by which the Agent knows the check."""
        return f"metta_{self.slug}"

    @property
    def package(self) -> str:
        """The package that holds everything of the check."""
        return f"metta_checks.{self.slug}"

    def check_class(self) -> type[MettaCheck]:
        """The check's class, imported now."""
        found: type[MettaCheck] = _imported(self.class_path)
        return found

    def cost(self) -> Formula:
        """The check's cost formula, imported now."""
        found: Formula = _imported(self.cost_path)
        return found

    def metric_tags(self) -> MetricTags:
        """The tags of the check's own metrics, imported now; `metta.check.*` is the same for every check."""
        found: MetricTags = _imported(self.tags_path)(self)
        return found


def definition_in(package: str) -> CheckDefinition:
    """The `DEFINITION` in `metta_checks.<package>.definition`. Raises ValueError where its slug is another."""
    found: CheckDefinition = import_module(f"metta_checks.{package}.definition").DEFINITION
    if found.slug != package:
        raise ValueError(f"metta_checks/{package}/definition.py: the slug is {found.slug!r}, it must be {package!r}")
    return found


def _imported(path: str) -> Any:
    module, _, attribute = path.rpartition(".")
    return getattr(import_module(module), attribute)
