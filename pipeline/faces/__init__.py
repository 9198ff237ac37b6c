"""Where faces are in an image, which are the same from frame to frame, and how sure it is that they speak."""
