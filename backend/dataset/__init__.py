"""From masks to a training set: COCO JSON, split, report."""
