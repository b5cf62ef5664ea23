"""Servers on loopback with sample data: what the checks run against when there is no account."""
