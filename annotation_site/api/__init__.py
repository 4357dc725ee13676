"""The JSON API, in one place, so that permissions and blinding are reviewed in one place."""
