"""The one exception that stands for a mistake the user can mend."""


class UserError(Exception):
    """Bad input: the message names the file, the utterance or key, and what to do about it.

    A stage prints the message on one line, without a traceback, and exits with status 1.
    Everything else that is raised is a defect of ours and keeps its traceback.
    """
