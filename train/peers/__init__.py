"""Networks of other papers, one module per kind, and what they share.  Their params are in train/networks."""
