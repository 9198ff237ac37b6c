"""The command ``multiemo``: one module per subcommand, found by its name.  What needs a trained model is in
``train.console``.
"""
