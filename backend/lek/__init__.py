"""The rendered lek behind `python -m backend.simulate`: a world of ruffs, a camera, and the truth about both."""
