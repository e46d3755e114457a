"""The ``gendist`` command: one module per subcommand, of the same name."""
