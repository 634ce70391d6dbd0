"""The demo: ``armwise demo``. Ships a numeric table of real outcomes, so that it needs no network and no key."""

from armwise.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
