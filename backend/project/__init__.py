"""Project folders, settings, manifests, atomic files, locks, path confinement, compiled kernels."""
