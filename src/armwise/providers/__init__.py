"""Calls to upstream models: one way to ask, whatever they speak, with every attempt timed and billed.

==============================================  ===============================================================
``client``, ``blocking``                        the client of a whole pool, async and not
``openai``, ``anthropic``, ``gemini``           wire formats: pure translation, one file each (``wire``: the contract)
``deployment``, ``pool``, ``breaker``           several places for one model: balance, cooldown, recovery
``call``, ``stream``, ``retry``, ``http``       one request: its tries, its deadline, its bytes
``usage``, ``billing``, ``prices``              tokens believed or not, and what they cost
``errors``                                      what can go wrong, in one tree
==============================================  ===============================================================
"""
