"""Tests of the command `reductauth`."""
