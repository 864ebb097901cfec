"""The web app: pages that read state, draw it and call one function. No computation."""
