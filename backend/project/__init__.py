"""Where things are: folders, settings, manifests, atomic files, path confinement."""
