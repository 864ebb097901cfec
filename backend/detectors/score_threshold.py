"""The default score thresholds. A detection's score, 0 to 1, is how sure the network is that it is an animal."""

KEPT_SCORE = 0.3  # inference writes detections from here on; tracking can use weak ones, so it is the lower of the two
SHOWN_SCORE = 0.5  # detections from here on are shown, counted without tracks, compared, and proposed in SegAnnot
