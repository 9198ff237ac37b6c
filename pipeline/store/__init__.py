"""Finished work: HDF5 files, the item store, keys and digests, housekeeping.  Knows no stage."""
