"""Mask R-CNN engines behind one small interface. Only `settings` and `registry` can be imported without torch."""
