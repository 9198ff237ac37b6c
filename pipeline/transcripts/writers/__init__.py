"""Writers of predictions for annotation tools: one module per format, found by its suffix.

A module has ``SUFFIX`` and ``write(recording)``, which gives the file's bytes.
"""
