"""What people look at: figures, summaries and pages; no result depends on it."""
