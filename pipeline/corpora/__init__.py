"""Raw data sets to dialogues of utterances: one module per format, which is all that knows its files.

``annotations`` has what formats share, ``demo`` makes a corpus.  Nothing here opens a media file.
"""
