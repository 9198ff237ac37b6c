"""Subcommands of the console command ``multiemo``."""
