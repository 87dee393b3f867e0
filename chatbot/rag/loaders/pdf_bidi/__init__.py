"""Lines of a PDF page with letters from right to left: from glyphs with their places to words in logical order."""
