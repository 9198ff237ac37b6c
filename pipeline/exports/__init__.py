"""Features in the layouts that other code reads."""
