"""The targets of an instance that finds them in a list, for commands that look at them one by one."""

from __future__ import annotations

from collections.abc import Sequence

import click
from datadog_checks.base import ConfigurationError

from metta_checks.cli.agent_config import AgentConfig
from metta_checks.cli.runner import new_check
from metta_checks.core import CredentialError, SourceError, Target
from metta_checks.core.definition import CheckDefinition


def discovered_targets(definition: CheckDefinition, config: AgentConfig, number: int) -> Sequence[Target] | None:
    """The targets of the instance with this number as its source lists them now; None where it names its only one.

    Raises UsageError for options that do not hold, and ClickException for a list that cannot be read.
    """
    check = new_check(definition, config.init_config, config.instances[number - 1])
    try:
        check.load_options()
        if not check.discovers:
            return None
        with check.transport.during(check.collection):
            return check.find_targets(check.clock()).targets
    except ConfigurationError as error:
        raise click.UsageError(f"instance {number}: {error}") from None
    except (CredentialError, SourceError) as error:
        raise click.ClickException(f"{definition.name}, instance {number}: {error}") from None
