"""The wire formats of the simulator, written from the providers' documents and not from armwise's own translators,
so that a mistake in one of the two shows.

Each module reads a request body into an :class:`~armwise.testing.answering.Ask` and writes a reply as a JSON object
(``whole``) or as a list of server-sent events (``events``), each event one ``bytes``.
"""
