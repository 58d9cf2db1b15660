"""Networks, which know torch only."""
