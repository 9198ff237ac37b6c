"""What the stages share: params, corpora, media, the item store and the feature file."""
