"""The layout of a PDF page: from words with their boxes to text in reading order."""
