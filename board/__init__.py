"""The relabelling board: doubtful moments of a tracked video are put right in the browser."""
