"""One module per DVC stage, named as the stage; ``main`` reads top to bottom as what the stage does.

A stage imports no other stage; what two of them need is in ``pipeline`` or ``train``.
"""
