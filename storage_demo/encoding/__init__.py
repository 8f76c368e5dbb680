"""How batches of records are written into HTTP headers, and read from them. Pure functions, no I/O.

``v1`` is one entry per batch, ``v2`` several. Both read requests into the values of ``items``, raise
nothing but `InvalidError` whatever is sent, and take time linear in what was sent. Both build the headers
of answers behind the protocol of ``batch``.

Files, lower ones import from higher ones only: ``headers``, ``content_type``, ``names``, ``labels`` are
parts of headers; ``items`` and ``batch`` what is read and what is built; ``v1`` and ``v2`` the protocols.
"""
