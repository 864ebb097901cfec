"""SegAnnot: outlining birds in a video, in the browser, at any length."""
