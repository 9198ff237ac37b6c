"""One module per DVC stage, named as the stage; ``main`` reads top to bottom as what the stage does."""
