"""Semaphores and threads that work with and without gevent."""
