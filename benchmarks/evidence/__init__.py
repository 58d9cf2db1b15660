"""What the shipped encoder is worth: transfer, label efficiency, lost electrodes, invariance."""
