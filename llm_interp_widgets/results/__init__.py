"""What comes out: immutable results over numpy, saved and re-opened without torch."""
