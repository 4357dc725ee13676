"""The JSON API, in one package, so that permissions and blinding can be reviewed in one place."""
