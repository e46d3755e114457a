"""Resume: what an interrupted job keeps, so that its next attempt goes on where it stopped."""
