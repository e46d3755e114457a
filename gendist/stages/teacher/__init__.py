"""Teacher: a sequence classifier finetuned on the labelled real rows."""
