"""Masks: indexed PNG, run-length encoding, polygons, object lists, drawing."""
