"""Text: normalization, sentences, words, languages, Markdown, chunks."""
