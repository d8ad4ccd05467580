package store

import "rialto/internal/store/layout"

// Once reports whether a key of a database is nearly always new when it is set:
// an engine may then insert without looking. Rows that are rewritten in place
// (states, counts, counters, places by OID, properties) are not among them.
func Once(key []byte) bool {
	switch key[0] {
	case 0x03, 0x04, 0x05, 0x06: // of package content
		return true
	case layout.SpaceMailbox:
	default:
		return false
	}
	if len(key) < 6 {
		return false
	}
	switch key[5] {
	case layout.SubSummary, layout.SubStream, layout.SubByMID, layout.SubByMessageID, layout.SubConversation, layout.SubByTime, layout.SubLog, layout.SubFolderLog, layout.SubReplicaLog:
		return true
	}
	return false
}
