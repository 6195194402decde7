"""What must hold when a run is over, whatever happened in it: one set of checks for simulation, integration and soak.

A run collects its evidence (`collecting`), and `problems_of` says in sentences what breaks a promise. The provider's
account and the shop's receiver are witnesses of their own: none of our records is believed for what they say.
"""

from tests.checkers.checks import CHECKS, problems_of
from tests.checkers.collecting import collect
from tests.checkers.evidence import Bound, Evidence, ReceivedWebhook, StoredObject

__all__ = ["CHECKS", "Bound", "Evidence", "ReceivedWebhook", "StoredObject", "collect", "problems_of"]
