"""How work is done: engine, extraction, progress, lifetime of processes.  Knows no modality."""
