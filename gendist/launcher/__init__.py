"""The workflow from outside: starting it, following it, and saying what it would do and why."""
