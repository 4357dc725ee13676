"""Addresses of login, a person's account, and the admins' pages about people.

allauth's views are named one by one, so that nothing of it is reachable by accident; the names
that begin with account_, mfa_ and so on are those that allauth itself asks for.
"""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.socialaccount import views as outside
from allauth.usersessions import views as sessions
from django.contrib.auth.decorators import login_required
from django.urls import include, path, re_path

from annotation_site.accounts.views import (
    bulk_invitations,
    entering,
    joining,
    login_service,
    own,
    people,
    tokens,
)

RESET = "password/reset/"
CODES = "account/second-factor/recovery-codes/"

own_pages = [
    path("account/", own.account, name="own"),
    path("account/language/", own.language, name="language"),
    path("account/tokens/", tokens.listed, name="tokens"),
    path("account/tokens/new/", tokens.new, name="token_new"),
    path("account/tokens/<uuid:public_id>/revoke/", tokens.revoke, name="token_revoke"),
    path("join/<str:token>/", joining.join, name="join"),
    path("demo/enter/<str:token>/", entering.enter, name="enter"),
    path("invitations/", joining.listed, name="invitations"),
    path("invitations/new/", joining.new, name="invite"),
    path("invitations/many/", bulk_invitations.many, name="invite_many"),
    path("invitations/many.csv", bulk_invitations.links_file, name="invite_many_file"),
    path("invitations/<uuid:public_id>/revoke/", joining.revoke, name="revoke"),
    path("people/", people.listed, name="people"),
    path("people/<uuid:public_id>/", people.person, name="person"),
    path("people/<uuid:public_id>/role/", people.role, name="role"),
    path("people/<uuid:public_id>/access/", people.access, name="access"),
    path("people/<uuid:public_id>/reset-link/", people.reset_link, name="reset_link"),
    path("people/<uuid:public_id>/second-factor/", people.second_factor, name="second_factor"),
    path("people/<uuid:public_id>/erase/", people.erase, name="erase"),
    path("log/", people.log, name="log"),
]
urlpatterns = [
    path("login/", account.login, name="login"),
    path("login/", account.login, name="account_login"),
    path("login/second-factor/", mfa.authenticate, name="mfa_authenticate"),
    path("logout/", own.logout, name="logout"),
    path("logout/", own.logout, name="account_logout"),
    path("signup/", own.signup, name="account_signup"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("confirm/", account.reauthenticate, name="account_reauthenticate"),
    path("confirm/second-factor/", mfa.reauthenticate, name="mfa_reauthenticate"),
    path(RESET, own.password_reset, name="account_reset_password"),
    path(RESET + "sent/", account.password_reset_done, name="account_reset_password_done"),
    path(
        RESET + "done/",
        account.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    re_path(
        "^" + RESET + r"(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path("account/password/", account.password_change, name="account_change_password"),
    path("account/sessions/", sessions.list_usersessions, name="usersessions_list"),
    path("account/second-factor/", mfa.index, name="mfa_index"),
    # Without a login allauth would keep what was sent, in a session, until somebody logs in.
    path(
        "account/second-factor/add/", login_required(totp.activate_totp), name="mfa_activate_totp"
    ),
    path("account/second-factor/remove/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path(CODES, recovery_codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        CODES + "new/",
        login_required(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path(
        CODES + "file/", recovery_codes.download_recovery_codes, name="mfa_download_recovery_codes"
    ),
    path("account/login-service/", outside.connections, name="socialaccount_connections"),
    path("oidc/cancelled/", outside.login_cancelled, name="socialaccount_login_cancelled"),
    path("oidc/error/", outside.login_error, name="socialaccount_login_error"),
    path("oidc/signup/", own.signup, name="socialaccount_signup"),
    path("oidc/<str:provider_id>/login/", login_service.login, name="openid_connect_login"),
    path(
        "oidc/<str:provider_id>/login/callback/",
        login_service.callback,
        name="openid_connect_callback",
    ),
    path("", include((own_pages, "accounts"))),
]
