"""What a job is: states, store, scheduling pass, wrapper process, GPU slots, progress."""
