"""The words of the scorer that ships, by attribute: short lists of our own, for English alone."""

WORDS = {
    "insult": (
        "coward", "cowards", "disgusting", "dumb", "fool", "foolish", "fools", "idiot", "idiotic",
        "idiots", "liar", "liars", "loser", "losers", "moron", "morons", "pathetic", "stupid",
        "ugly", "worthless",
    ),
    "profanity": (
        "arse", "ass", "asshole", "bastard", "bastards", "bitch", "bloody", "bullshit", "crap",
        "damn", "damned", "fuck", "fucked", "fucking", "goddamn", "hell", "piss", "pissed", "shit",
        "shitty",
    ),
    "violence": (
        "attack", "attacked", "attacks", "blood", "bomb", "bombs", "dead", "death", "destroy",
        "destroyed", "die", "died", "enemy", "fight", "fighting", "gun", "guns", "hurt", "kill",
        "killed", "killing", "murder", "murdered", "shoot", "shot", "threat", "violence",
        "violent", "war", "weapon", "weapons",
    ),
    "kindness": (
        "calm", "care", "careful", "caring", "comfort", "friend", "friendly", "friends", "gentle",
        "glad", "grateful", "happy", "help", "helpful", "helping", "hope", "kind", "kindness",
        "love", "peace", "peaceful", "please", "protect", "protected", "safe", "safely", "safety",
        "thank", "thankful", "thanks", "welcome",
    ),
}  # fmt: skip
