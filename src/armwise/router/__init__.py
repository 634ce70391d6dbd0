"""The router: what services import. One file per thing it does, put together in ``router.py``.

keeping     the log, and the state that is its fold
pool        arms that come and go            budgets     what may be spent
rollouts    which policy serves              feedback    what comes back
deciding    the request path, without I/O    answering   calling what was decided on
"""

from armwise.router.router import Router

__all__ = ["Router"]
