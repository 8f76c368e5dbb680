"""Tests of the storage engine, through `Engine` on a real folder wherever that shows the behaviour."""
