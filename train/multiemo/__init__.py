"""MultiEMO's network and what is its own: contexts, fusion and losses.  Its params are in train/networks."""
