"""One customer's data: all of it in a file, and the forgetting of all of it."""
