"""The errors that a user can put right."""


class UserError(Exception):
    """Something a user can put right: the message says what was wrong, where, and what would be right.

    The command line shows it in place of a traceback. Anything else that is raised is a
    fault of this project.
    """
