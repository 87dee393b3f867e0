"""Rooms: chats of several users, in which the database is the truth and each delivery a view of it."""
