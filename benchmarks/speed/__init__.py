"""Speed: each script prints a table and writes a CSV; all figures are ratios within one run."""
