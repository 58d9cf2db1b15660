"""Trained on one montage and rate, used on another."""
