"""Common checks that every public estimator passes, by theme; `settings` says who is checked."""
