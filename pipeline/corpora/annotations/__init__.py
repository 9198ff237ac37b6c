"""What corpus formats share: reading tables of annotations, and what a reader returns."""
