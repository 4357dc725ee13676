"""Operation of the site: backups, `doctor`, `tidy`, metrics, health checks."""
