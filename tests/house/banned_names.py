"""Names that say nothing of what they name: bare participles and vague verbs. A longer name may contain them."""

BANNED = frozenset(
    {
        "told", "held", "found", "seen", "wanted", "asked", "looked", "look", "said", "laid", "kept", "known", "given",
        "made", "taken", "gone", "came", "meant", "heard", "shown", "spent", "brought", "sent", "hear", "tell", "say",
        "hold", "ones", "whole", "what", "where", "who", "beside", "once", "likewise", "of",
    }
)  # fmt: skip
