"""Opens slide files: a sandboxed child process, which alone does so, and its client."""
