"""Language models, one adapter a file, named as in `registry.py`."""
