"""Tables and figures, drawn from files alone."""
