"""The DARE network as a braindecode model."""

from .dare_model import DAREModel

__all__ = ["DAREModel"]
