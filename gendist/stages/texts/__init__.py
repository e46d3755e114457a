"""Texts stage: reads the user's files or a hub dataset, writes ``texts/{train,test}.parquet``."""
