"""Teacher stage: finetunes a sequence classifier on the labelled real rows."""
