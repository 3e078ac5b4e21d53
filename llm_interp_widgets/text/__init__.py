"""Text and its pieces: tokens with exact spans, and the features made of them."""
