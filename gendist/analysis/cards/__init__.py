"""Cards: what a model and its synthetic rows are, for whoever they are handed to, and the handing over."""
