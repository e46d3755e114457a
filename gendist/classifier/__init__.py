"""The estimator ``gendist.Classifier``: from texts and labels to a classifier, in Python."""
