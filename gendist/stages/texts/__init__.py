"""Texts: from the user's files or a hub dataset to ``texts/{train,test}.parquet``."""
