"""What every stage builds on; imports neither ``train`` nor ``stages``.

Flat here lies only what everybody reads: params, runtime, errors, manifest.
"""
