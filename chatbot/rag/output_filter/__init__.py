"""The filter of answers: text that must not be followed, fetched or run is removed."""
