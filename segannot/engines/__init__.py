"""Engines: ways from what a person draws to outlines, and from one frame to the next."""
