"""From detections to identities: tracklets, linking, doubts, corrections, and the track files that everybody reads."""
