"""For pyright alone: whatever comes from transformers is Any. Its types follow from its code, which takes a minute."""

from typing import Any

def __getattr__(name: str) -> Any: ...
