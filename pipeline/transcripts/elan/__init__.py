"""What is ELAN's own: the structure of its files, when annotations are, and copies with more tiers."""
