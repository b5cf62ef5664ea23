"""Dashboards and monitors as JSON, the linter that holds them against what the checks emit, and a local picture."""
