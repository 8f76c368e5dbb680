"""The beginning that addresses of this server have for its clients."""

from __future__ import annotations

from yarl import URL

__all__ = ["check_base_url"]


def check_base_url(text: str) -> str:
    """Return the address with one slash at its end, so that a path can follow.

    Raises `ValueError`, with a sentence, for what is no absolute http or https address or has a query or fragment.
    """
    url = URL(text)
    if not url.absolute or url.scheme not in {"http", "https"} or url.query_string or url.fragment:
        raise ValueError("it must be an address such as https://storage.example.com/")
    return f"{str(url).rstrip('/')}/"
