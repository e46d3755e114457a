"""The two baselines of the paper's Table 1: TF-IDF with a linear SVM, and fastText."""
