"""The pocket models, which the package carries: a small generator, subword vectors, starting weights of students."""
