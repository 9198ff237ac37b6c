"""Features in the form that other code reads: one module per export, found by the name that users give.

The first line of its docstring says whom it is for and what it writes; ``multiemo export --help`` shows it.
What several exports share is in ``shared``.  A module has

    HOLDS_UNLABELLED           whether it holds utterances without a label, and says what was not observed;
                               if not, ``write`` gets labelled utterances only, and the user is told
    write(folder, features)    makes the folder, which is new or empty, and the files; returns a line on each

and, where a user must know something of this export alone,

    notes(features)            returns it line by line, of features that were written
"""
