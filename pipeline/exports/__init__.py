"""Feature files in the layouts that other codebases read: one module for each kind of layout."""
