"""Training: data, loop, evaluation, checkpoints, and what is told about them."""
