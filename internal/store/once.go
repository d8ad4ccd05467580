package store

// Once reports whether a key of a database is nearly always new when it is set:
// an engine may then insert without looking. Rows that are rewritten in place
// (states, counts, counters, places by OID, properties) are not among them.
func Once(key []byte) bool {
	switch key[0] {
	case 0x03, 0x04, 0x05, 0x06: // of package content
		return true
	case spaceMailbox:
	default:
		return false
	}
	if len(key) < 6 {
		return false
	}
	switch key[5] {
	case subSummary, subStream, subByMID, subByMessageID, subConversation, subByTime, subLog, subFolderLog, subReplicaLog:
		return true
	}
	return false
}
