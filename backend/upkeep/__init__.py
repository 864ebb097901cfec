"""Maintenance: doctor, backup and restore, cleaning, morning report, fault report."""
