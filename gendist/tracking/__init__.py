"""Tracking: the study's runs in somebody's MLflow."""
