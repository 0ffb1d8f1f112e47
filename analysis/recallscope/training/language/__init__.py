"""Small language models on real text: the training loop, its token cache, shapes, cards."""
