"""Shared by all web servers: sign-in, headers, limits, ports, readiness, links."""
