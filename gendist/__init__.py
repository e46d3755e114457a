"""Generation-Distillation: from about 100 labelled texts per class to a one-megabyte classifier."""

__version__ = "0.1.0"
