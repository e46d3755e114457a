"""Recipe of the pocket models: training, evaluation and installation into the package."""
