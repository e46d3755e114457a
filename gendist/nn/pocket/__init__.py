"""The packaged models: pocket generator, subword vectors, initial weights of students."""
