"""Tests of how batches are written into headers, and read from them."""
