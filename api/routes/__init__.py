"""One file a kind of object. Routes are plain functions; `async` only where bytes stream."""
