"""Dashboards and monitors held against the rules."""

from __future__ import annotations

from metta_checks.board import client_models, lint_dashboard, lint_monitor
from metta_checks.board.contract import Contract, contract
from metta_checks.board.document import Dashboard, DocumentError, parse_board, parse_json
from metta_checks.board.findings import Finding, Rule


def findings_in(text: str, emitted: Contract | None = None) -> list[Finding]:
    """What is wrong with the dashboard or the monitor in `text`, in the order in which it stands there.

    `emitted` is what the checks emit, by default in their example configuration. Raises MissingClientError.
    """
    emitted = emitted or contract()
    try:
        document = parse_json(text)
        board = parse_board(document)
    except DocumentError as error:
        return [Finding(Rule.JSON, "", str(error))]
    if isinstance(board, Dashboard):
        found = [*client_models.dashboard_findings(document), *lint_dashboard.dashboard_findings(board, emitted)]
    else:
        found = [*client_models.monitor_findings(document), *lint_monitor.monitor_findings(board, emitted)]
    if any(finding.rule is Rule.MODEL for finding in found):
        # A kind of widget that Datadog does not know either is told once.
        found = [finding for finding in found if finding.rule is not Rule.WIDGET]
    return list(dict.fromkeys(found))
