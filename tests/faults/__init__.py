"""Faults: servers that are killed, disks that fail, fill up or forget, files that others tampered with."""
