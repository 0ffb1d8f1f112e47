"""Recall tasks put to language models that were never trained on them."""
