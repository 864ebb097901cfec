"""Zones and what birds do in them: geometry, membership, statistics and their uncertainty. No Streamlit."""
