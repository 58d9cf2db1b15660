"""Signals: electrodes, units, validation, readers and resampling."""
