"""Safe embedding of data and scripts in HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any

# Inside a script element only "<" can end it or open a comment; "&" and ">" are escaped for readers of the source that
# are not browsers, and the two line separators because they are not allowed in JavaScript string literals of old.
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def to_json(value: Any) -> str:
    """Compact JSON that may stand inside a script element; NaN and infinities become null.

    Lone surrogates (half a character, from a broken decoding) are written as escapes, so the file stays valid UTF-8.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.translate(_ESCAPES)
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text) if _broken(text) else text


def _broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def script_hash(script: str) -> str:
    """Source expression of a content security policy that admits exactly this inline script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def policy(scripts: list[str]) -> str:
    """Content security policy: no network at all, and no script but the given ones.

    Styles are 'unsafe-inline' because plotly writes its own; images are data and blob, for saving a figure.
    """
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(map(script_hash, scripts)),
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())
