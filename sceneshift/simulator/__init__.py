"""A provider to develop and test against: it answers as the provider's document says, over HTTP or in one process.

It is written against that document and shares no code with the client, so that a misreading on one side shows as a
disagreement. The names below are loaded when they are first used: a shop's process never imports a web server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sceneshift.simulator.app import create_app
    from sceneshift.simulator.config import SimulatorConfig
    from sceneshift.simulator.server import RunningSimulator, running_simulator
    from sceneshift.simulator.transport import SimulatorTransport

__all__ = ["RunningSimulator", "SimulatorConfig", "SimulatorTransport", "create_app", "running_simulator"]

_HOMES = {
    "RunningSimulator": "server",
    "SimulatorConfig": "config",
    "SimulatorTransport": "transport",
    "create_app": "app",
    "running_simulator": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        raise ImportError(f"{name}: {missing(error)}", name=error.name) from None
    return getattr(home, name)


def missing(error: ModuleNotFoundError) -> str:
    """What to do about a module that only comes with an extra."""
    module = (error.name or "a module").partition(".")[0]
    return f"{module} is missing: it comes with the extra `simulator` (in the clone: pip install '.[simulator]')"
