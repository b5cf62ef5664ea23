"""Support code of the tests: sample data full of edge cases, for the simulated servers."""
