"""Licences that a data set can have: those with an identifier on the Hugging Face hub."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """A licence: its title, SPDX identifier and address."""

    title: str
    spdx: str
    url: str


_CC = "https://creativecommons.org"
LICENCES = {
    "cc0-1.0": Licence("CC0 1.0 Universal", "CC0-1.0", f"{_CC}/publicdomain/zero/1.0/"),
    "cc-by-4.0": Licence("CC Attribution 4.0", "CC-BY-4.0", f"{_CC}/licenses/by/4.0/"),
    "cc-by-sa-4.0": Licence(
        "CC Attribution-ShareAlike 4.0", "CC-BY-SA-4.0", f"{_CC}/licenses/by-sa/4.0/"
    ),
    "cc-by-nc-4.0": Licence(
        "CC Attribution-NonCommercial 4.0", "CC-BY-NC-4.0", f"{_CC}/licenses/by-nc/4.0/"
    ),
    "cc-by-nc-sa-4.0": Licence(
        "CC Attribution-NonCommercial-ShareAlike 4.0",
        "CC-BY-NC-SA-4.0",
        f"{_CC}/licenses/by-nc-sa/4.0/",
    ),
    "odc-by": Licence(
        "Open Data Commons Attribution 1.0",
        "ODC-By-1.0",
        "https://opendatacommons.org/licenses/by/1-0/",
    ),
    "odbl": Licence(
        "Open Database License 1.0", "ODbL-1.0", "https://opendatacommons.org/licenses/odbl/1-0/"
    ),
    "pddl": Licence(
        "Public Domain Dedication and License 1.0",
        "PDDL-1.0",
        "https://opendatacommons.org/licenses/pddl/1-0/",
    ),
    "apache-2.0": Licence(
        "Apache License 2.0", "Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"
    ),
    "mit": Licence("MIT License", "MIT", "https://opensource.org/license/mit"),
}
"""By the identifier that the hub knows. None is the default: the researcher chooses."""
