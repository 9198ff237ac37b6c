"""Subcommands of ``multiemo`` that run stages."""
