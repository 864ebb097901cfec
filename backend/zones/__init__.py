"""Zones and what birds do in them: zone files, membership, time budgets, bouts, contacts and their uncertainty.

A new measure: its setting in `settings`, its numbers in `measures`, the meaning of its column in `columns`.
"""
