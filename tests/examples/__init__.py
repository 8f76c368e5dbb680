"""Tests of the examples: each runs as its README command starts it."""
