"""Lektrack's scripts and the plain functions behind them. Nothing here imports streamlit."""
