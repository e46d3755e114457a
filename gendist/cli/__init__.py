"""The ``gendist`` command: one module per subcommand."""
