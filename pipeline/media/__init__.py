"""Frames and audio out of media files: decoding, sampling, spans, probes.  Knows no faces."""
