"""Subcommands of ``multiemo`` that need a trained model."""
