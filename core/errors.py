"""The errors of the domain. Each says what is wrong and what to do; the API maps them to HTTP in one table.

QuarterturnError
├── Unauthenticated      nobody, or a key that is wrong, expired or revoked
├── Forbidden            somebody, but not with this role
├── NotFound             no such object in this workspace
│   └── Foreign          it is another workspace's: answers alike, and is written down
├── Invalid              a value that cannot be used
├── Conflict             the object's state does not allow it
│   └── Withheld         results that must not be shown
├── Gone                 it was here
├── TooLarge             over a limit
├── TooMany              too often, or too much at once
├── NoSpace              the disk is full
├── Unavailable          no worker or server can do it now
└── SlideRejected        a file that is no usable slide (code, sentence)
"""


class QuarterturnError(Exception):
    """`code` is stable and names the case; `detail` says what is wrong; `action` what to do about it."""

    def __init__(self, code: str, detail: str, action: str) -> None:
        super().__init__(detail)
        self.code, self.detail, self.action = code, detail, action


class Unauthenticated(QuarterturnError):
    pass


class Forbidden(QuarterturnError):
    pass


class NotFound(QuarterturnError):
    pass


class Foreign(NotFound):
    pass


class Invalid(QuarterturnError):
    pass


class Conflict(QuarterturnError):
    pass


class Withheld(Conflict):
    pass


class Gone(QuarterturnError):
    pass


class TooLarge(QuarterturnError):
    pass


class TooMany(QuarterturnError):
    pass


class NoSpace(QuarterturnError):
    pass


class Unavailable(QuarterturnError):
    pass


class SlideRejected(QuarterturnError):
    pass
