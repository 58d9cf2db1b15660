"""What encoders and fitted estimators attend to, and what they do not mind."""

from .channels import channel_importance, gradient_relevance
from .mask_invariance import mask_invariance

__all__ = ["channel_importance", "gradient_relevance", "mask_invariance"]
