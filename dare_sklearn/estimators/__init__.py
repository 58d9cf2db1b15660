"""Predictors: probes on a DARE-EEG encoder."""

from .classifier import DAREClassifier
from .regressor import DARERegressor

__all__ = ["DAREClassifier", "DARERegressor"]
