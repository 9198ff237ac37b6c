"""The command ``multiemo``: one module per subcommand, found by the name that users give.

The first line of its docstring is the subcommand's in ``multiemo --help``, and its ``configure(parser)`` adds
arguments and an example, and sets ``run``, which takes the arguments and returns the exit status.  What needs
a trained model is in ``train.console``, what runs stages in ``stages.console``, and what several subcommands
share in ``shared``.
"""
