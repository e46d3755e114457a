"""The pocket models: a small generator, subword vectors and their tokenizer, trained by this project.

``packaged`` and ``unpack`` give the packaged models to other code; the other modules are the recipe.
"""
