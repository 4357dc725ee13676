"""Production's settings for a site that a test starts, with passwords that are quick to check.

Each login and each person made takes half a second of processor time otherwise.
"""

from django.conf.global_settings import PASSWORD_HASHERS as SLOW

from annotation_site.settings import *  # noqa: F403

# Those of production still read what they wrote, in databases of older versions.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *SLOW]
