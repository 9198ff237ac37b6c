"""What people look at: figures, and the page that explains a corpus and the model trained on it."""
