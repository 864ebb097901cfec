"""The board: review a tracked video in the browser and correct identities."""
