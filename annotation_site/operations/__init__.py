"""Keeping the site healthy: backups, the doctor, what load balancers ask."""
