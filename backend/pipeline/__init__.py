"""Inference over whole videos: chunks, decoding, the network, saving; and the reader of its results."""
