"""Datadog Agent checks for a team that trains models: W&B runs, GitHub CI, training and evaluation health."""
