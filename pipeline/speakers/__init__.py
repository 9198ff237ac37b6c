"""Who speaks: mouths that move with the sound, and names that go with faces."""
