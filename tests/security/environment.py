"""Settings of a site that no process with a stranger's file in it may see."""

SECRETS = {
    "SECRET_KEY": "s-1", "DATABASE_URL": "s-2", "DATABASE_PASSWORD": "s-3", "REDIS_URL": "s-4",
    "HF_TOKEN": "s-5", "EMAIL_URL": "s-6", "OIDC_CLIENT_SECRET": "s-7", "METRICS_TOKEN": "s-8",
    "FFN_ENV_FILE": "s-9", "SOMETHING_NEW": "s-10", "LLM_API_KEY": "s-11",
}  # fmt: skip
