"""The only place where slide files are opened: a sandboxed child process and its client."""
