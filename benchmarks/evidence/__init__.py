"""What the shipped encoder is worth on real recordings: tasks, pipelines, calls of `evaluation`."""
