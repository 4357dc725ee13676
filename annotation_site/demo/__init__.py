"""`make demo`: a working site with a real model's lists, for one person on their own machine."""
