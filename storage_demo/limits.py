"""What the process may use of the system."""

from __future__ import annotations

import resource

__all__ = ["allow_open_files"]


def allow_open_files() -> None:
    """Let the process open as many files as it ever may.

    Where that is not said, it is 1,024: every connection is one, and a client that takes its time with a batch of large
    records holds up to 85 more.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
