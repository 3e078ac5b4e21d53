"""What can be explained. The only room that knows transformers."""
