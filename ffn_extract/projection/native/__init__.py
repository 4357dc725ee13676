"""The optional native kernel of the projection: lists faster, and the same to the last bit."""
