"""What an admin needs for years: doctor, backup and restore, cleaning, the morning report, a report of a fault."""
