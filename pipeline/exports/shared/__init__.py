"""What several exports are made with; no export itself."""
