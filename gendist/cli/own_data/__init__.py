"""Own data: from a user's file to a runnable study (``gendist init``)."""
