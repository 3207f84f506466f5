"""A stand-in of the service on this machine, for demonstrations, tutorials and tests: no key, no cost, no network.

``service`` holds the endpoints, ``tasks`` what they know of, ``faults`` every way in which an exchange can go wrong on
demand, ``documents`` the bodies, ``callbacks`` the deliveries, ``server`` the HTTP on loopback.
"""

from kie_notes.api.sandbox.callbacks import Delivery
from kie_notes.api.sandbox.faults import BEHAVIOURS
from kie_notes.api.sandbox.service import Asked, Sandbox

__all__ = ["BEHAVIOURS", "Asked", "Delivery", "Sandbox"]
