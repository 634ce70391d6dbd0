"""Typed settings: one file per section, read once, checked whole, frozen."""

from armwise.config.keys import MissingKey, missing_keys
from armwise.config.load import load_config, located, parse_config
from armwise.config.router import RouterConfig

__all__ = ["MissingKey", "RouterConfig", "load_config", "located", "missing_keys", "parse_config"]
