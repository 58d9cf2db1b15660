"""What fitted estimators attend to."""

from .channels import channel_importance

__all__ = ["channel_importance"]
