"""Training loops as generators: they yield plain records, their caller decides what to do with them."""
