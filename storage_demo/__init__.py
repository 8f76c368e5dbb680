"""A small storage server that speaks the ReductStore HTTP API."""
