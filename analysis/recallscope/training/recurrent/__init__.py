"""The recurrent transformer in action: copying by a curriculum, and bytes of real text."""
