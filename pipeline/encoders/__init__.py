"""What turns faces, audio or text into vectors: one module per kind below ``visual``, ``audio`` and ``text``.

Beside them: finding, pinning and checking weights, and what several kinds share.  No stage logic.
"""
