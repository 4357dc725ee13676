"""Scripts that call the API, and what they read from its answers."""

from rest_framework.test import APIClient

from annotation_site.accounts.tokens import scopes_for, token_create


def bearer(user, *scopes) -> APIClient:
    _, secret = token_create(user=user, name="a test", scopes=scopes or scopes_for(user))
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def post(client, url, body=None):
    return client.post(url, body or {}, format="json")


def code(response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["message"]
    return response.status_code, body["error"]["code"]
