"""Raw data sets to dialogues of utterances: one module per format, which is all that knows its files.

A format's module has ``Params``, ``CONTENT`` (what its root folder holds, for errors), ``read(root, params)``
and ``label_names(labels)``.  ``annotations`` has what formats share, ``demo`` makes a corpus.  Nothing here
opens a media file.
"""
