"""Baselines stage: systems trained on the labelled real rows alone, without distillation."""
