"""What annotation tools and transcribers write, in and out: who says what when, and what was made of it.

``readers`` has one module per format, all of which give ``content.Transcript``; ``writers`` the way back.
"""
