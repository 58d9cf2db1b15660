"""What moves weights: devices, seeds, memory, skorch nets, checkpoints and processes."""
