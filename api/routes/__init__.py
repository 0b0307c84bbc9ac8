"""Routes, one file a kind of object. They are thin; `async` only where bytes stream or nothing may block."""
