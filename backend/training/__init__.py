"""Training: data, loop, evaluation, checkpoints, model cards and reports of progress."""
