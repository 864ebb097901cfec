"""What all servers share: sign-in, headers, limits, ports, readiness, links."""
