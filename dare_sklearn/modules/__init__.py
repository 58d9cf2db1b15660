"""Networks, in torch alone."""
