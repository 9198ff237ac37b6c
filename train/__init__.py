"""Networks of every kind on feature files: training, prediction, explanation.  No video is ever opened."""
