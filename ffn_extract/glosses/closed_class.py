"""Closed-class words of English: they have no ranked sense, since WordNet describes none of them.

WordNet holds nouns, verbs, adjectives and adverbs alone, so what it says of "he", "a" or "was" is
about helium, the ångström and Washington. The classes are the closed ones of Universal Dependencies
(ADP, AUX, CCONJ, DET, PART, PRON, SCONJ: https://universaldependencies.org/u/pos/), with the
pronominal adverbs (here, when, thus), which are as closed. We listed their members for this
project, with archaic and inflected forms. A word with uses in both, such as "down" or "like", is in
the list if running text has it mostly in a closed class. Numerals and interjections are not in it:
WordNet describes them.
"""

_WORDS = {
    "determiners": """
        a an the this that these those each every either neither both all some any no such what
        whatever which whichever many more most much few fewer fewest less least several enough
        another other others my your his her its our their thy
    """,
    "pronouns": """
        i me mine myself you yours yourself yourselves he him himself she hers herself it itself
        we us ours ourselves they them theirs themselves themself thou thee thine thyself ye
        oneself who whom whose whoever whomever whosoever whatsoever
        none nothing something anything everything nobody somebody anybody everybody
        someone anyone everyone
    """,
    "prepositions": """
        aboard about above across after against along alongside amid amidst among amongst around as
        astride at atop before behind below beneath beside besides between betwixt beyond by despite
        down during ere except excepting for from in inside into like near notwithstanding of
        off on onto out outside over per plus qua regarding sans since than through throughout thru
        till to toward towards under underneath unlike until unto up upon versus via with within
        without
    """,
    "conjunctions": """
        and but or nor yet so if unless because although though while whilst whereas whether lest
        whereupon whereby wherein albeit
    """,
    "auxiliaries": """
        be am is are was were been being
        have has had having hath hast do does did done doing doth dost
        can cannot could may might must shall shalt should will would ought
    """,
    "particles": "not to",
    "pronominal adverbs": """
        here there where when why how then thus hence thence whence hither thither whither
        whenever wherever however somehow anyhow somewhere anywhere everywhere nowhere
        herein hereby hereof hereto therein thereby thereof thereto therefrom thereupon
    """,
}

CLOSED_CLASS = frozenset(word for words in _WORDS.values() for word in words.split())


def is_closed_class(token: str) -> bool:
    """Whether a token as it stands in text is a closed-class word, in any case."""
    return token.strip().lower() in CLOSED_CLASS
