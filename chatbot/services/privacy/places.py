"""A registry of the places beside the tables that may have data of users: how an erasure reaches each, or why not.

No export reads them: what they have is in the tables too. A place that has no entry here fails a test.
"""

FILES = {
    "chatbot.db": "the rows; what is deleted is overwritten (`secure_delete`)",
    "chatbot.db-wal": "changes of rows; emptied before a receipt says `completed`",
    "chatbot.db-shm": "positions in the file of changes",
    "lexical/*/followed.json": "ids of collections; deleted ones leave within a second of a search",
    "lexical/*/index/*": "terms of chunks; deleted ones are found no more, and go when tantivy merges their segment",
    "lexical-history/*/state.json": "nothing of users",
    "lexical-history/*/writer.lock": "nothing",
    "lexical-history/*/positions/*": "the ids of users that have searched; the erasure removes one",
    "lexical-history/*/index/*": "terms of turns and titles; as those of chunks",
    "secrets.json": "the server's secrets",
    "server.lock": "nothing",
}
"""Files of the instance folder by their patterns; a database of another name has files of that name."""

MEMORY = {
    "accounts.access_claims": "ids in tokens; they open nothing without their session, and are pushed out",
    "accounts.credential_cache": "ids; cleared by the request here, after 5 seconds in other processes",
    "accounts.foreign_logins": "names of users at their issuers, with the ids of API keys; pushed out",
    "accounts.issuers": "tokens of foreign issuers, until they are pushed out; they open nothing without their account",
    "accounts.hash_queue": "passwords while they are hashed",
    "accounts.mailer": "nothing once a mail is sent, but in the adapter `memory` of tests",
    "accounts.templates": "the operator's texts",
    "accounts.uses": "ids, written every few seconds",
    "admission.forks": "counts by ids while requests run",
    "admission.pages": "counts by ids while requests run",
    "admission.requests": "counts by ids while requests run",
    "admission.streams": "counts by ids while streams run",
    "answer_texts._followed": "ids of answers that are followed",
    "chat.embedding_slots": "ids while requests run",
    "chat.history_index": "the index in its folder",
    "chat.running_turns": "running turns; the erasure ends them here, the renewal of their leases elsewhere",
    "chat.slots": "ids while turns run",
    "chat.summaries": "cancel tokens of summaries that are written",
    "chat.summary_slots": "ids while summaries are written",
    "chat.turn_log": "texts of running turns, until they end",
    "knowledge.claimed_documents": "ids of documents that are read",
    "knowledge.document_watch": "ids of documents that are followed",
    "knowledge.lexical_index": "the index in its folder",
    "knowledge.parsers": "one document at a time, in a process without files",
    "knowledge.vector_index": "copies of vectors; a shared store forgets them in the erasure, memory within a second",
    "rooms._waiting": "ids of rooms that are followed",
    "sockets._connections": "open sockets; closed with their session",
    "sockets._counts": "counts by ids of open sockets",
    "sync._waiting": "ids of users that are followed",
}
"""State of processes with data of users, by the extension and the attribute."""

MEMORY_WITHOUT_USERS = {
    "database": "locks, connections and the state of the file",
    "docs": "the packed console of the API document",
    "connection_closer": "times and the registry of sockets",
}
"""Extensions without data of users, and what they have."""

REDIS = {
    "chatbot:presence:*": "ids of users in rooms, for as long as they are there",
    "chatbot:secrets": "a mark of the operator's secrets",
    "chatbot:sockets:*": "counts by ids of open sockets",
    "chatbot:turn:*": "texts of running turns; they expire after the turn",
    "chatbot:typing": "ids of users who type, of the last seconds",
    "LIMITS:*": "counts by ids and addresses, until their period ends",
}
"""Keys of Redis by their patterns."""

OUTSIDE = {
    "logs": "ids and addresses, no texts, names or e-mail addresses; the operator rotates them",
    "backups": "what was there when they were made; those made after an erasure have nothing of it",
    "mail servers": "mails that were sent",
    "models' servers": "prompts, by the terms of their operator",
    "tables of PostgreSQL": "deleted rows until they are vacuumed, which it does by itself",
    "texts of others": "rooms' names and topics, messages and answers that quote a user",
}
"""Places that an erasure does not reach."""
