"""Where faces are in an image: the detector, and nothing that judges whose they are."""
