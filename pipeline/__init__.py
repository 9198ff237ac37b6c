"""What every stage builds on; imports neither ``train`` nor ``stages``.

Flat here lies only what everybody reads: params, runtime, errors, manifest.
"""

import csv

# A cell may hold a whole transcript: what csv writes, it must read, and it stops at 131,072 characters.
csv.field_size_limit(2**31 - 1)
