"""Model and dataset cards, and their upload with the files."""
