"""Readers of transcripts: one module per format, found by its name.

A module has ``SUFFIXES``, ``looks_like(head)``, which knows the format by the beginning of a file's text, and
``read(path, content, how, mistakes)``, which gives all that the file holds.  What is wrong in single places
goes to ``mistakes``, so that a user sees several at once; what leaves nothing to read is a UserError.
"""
