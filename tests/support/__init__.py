"""Which pipelines can be cached: each in small, at every branch, and the table of them in docs/support.md."""
