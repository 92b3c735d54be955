"""The command line: typer commands and rich output, no logic of its own."""
