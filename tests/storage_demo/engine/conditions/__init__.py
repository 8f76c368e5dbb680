"""Conditions of queries, as the description of the HTTP API has them."""
