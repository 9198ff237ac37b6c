"""What several subcommands are made with; no subcommand itself."""
