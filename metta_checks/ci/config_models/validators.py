"""Rules for options that spec.yaml cannot state."""
