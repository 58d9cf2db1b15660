"""Pretraining: masks, losses and schedules (pure functions) and the objective that joins them."""
