"""What every estimator shares: reading X and y, ``encoder=``, embedding, the cache, saved state."""
