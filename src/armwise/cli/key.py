"""``armwise key``."""

import json

from armwise.cli.common import Json, console
from armwise.gateway.keys import new_key


def key(as_json: Json = False) -> None:
    """Make an API key for a tenant of the gateway, and what to write of it into the configuration."""
    secret, setting = new_key()
    if as_json:
        print(json.dumps({"key": secret, "setting": setting}))
        return
    console.print(f"key, for the client; it is not shown again:  {secret}", highlight=False, soft_wrap=True)
    console.print(f"for the configuration, under keys:           {setting}", highlight=False, soft_wrap=True)
