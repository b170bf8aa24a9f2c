"""py-lmdb's interface, tested on py-lmdb and on zerodb.lmdb."""
