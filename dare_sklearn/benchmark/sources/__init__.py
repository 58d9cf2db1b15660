"""Where epochs come from: simulation, files, MOABB, braindecode."""

from ._base import Context, Cut, Recordings, Source
from .braindecode import Braindecode
from .moabb import Moabb
from .recordings import Files
from .simulated import Simulated

KINDS: dict[str, type[Source]] = {
    "simulated": Simulated,
    "recordings": Files,
    "moabb": Moabb,
    "braindecode": Braindecode,
}

__all__ = ["KINDS", "Context", "Cut", "Recordings", "Source"]
