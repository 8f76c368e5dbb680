"""Tests of the module, as its contract reads."""
