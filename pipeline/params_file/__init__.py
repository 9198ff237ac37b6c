"""The file params.yaml as YAML: what is read of it within bounds, and what an old one is told."""
