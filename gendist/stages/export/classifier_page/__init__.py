"""The exported classifier as one HTML page that needs no server and no network."""
