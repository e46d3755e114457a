"""How the pocket models are trained, measured and put into the package."""
