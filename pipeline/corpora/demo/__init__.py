"""The built-in corpus: talking faces in MELD's raw layout, made on the spot.  Nothing else imports it."""
