"""Raw data sets: readers that turn them into dialogues of utterances, and the built-in demo corpus."""
