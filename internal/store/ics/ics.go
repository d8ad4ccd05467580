// Package ics is incremental change synchronization (MS-OXCFXICS): what a
// client that keeps a copy of a folder has to be told, given the state it
// sends, and what it uploads. The state is the client's (four sets of ids and
// change numbers); the server keeps nothing.
//
// # How a difference is found
//
// Change numbers of local changes are positions of the mailbox's log. If a
// client has seen all change numbers up to S, whatever it lacks stands in the
// folder's log after S, so the cost is that of what has changed. If S is below
// the folder's horizon, or the client has seen change numbers only here and
// there (the download of a large folder was cut short), or the numbers are of
// another incarnation, all items of the folder are compared with the client's
// sets: dearer, but nothing is lost.
package ics

import (
	"rialto/internal/mapi"
	"rialto/internal/model"
)

// Set is a set of ids or change numbers by replica GUID.
type Set = mapi.IDSet[model.GUID]

// State is what a client knows of a folder's contents, or of a hierarchy
// (MS-OXCFXICS 2.2.1.1). In a hierarchy SeenFAI and Read are empty.
type State struct {
	Given   Set // MetaTagIdsetGiven: the MIDs or folder ids it has
	Seen    Set // MetaTagCnsetSeen: content changes of normal items
	SeenFAI Set // MetaTagCnsetSeenFAI: of associated items
	Read    Set // MetaTagCnsetRead: changes of the read state
}

// seenTo returns the counter up to which a set has all changes of a replica.
func seenTo(s *Set, g model.GUID) uint64 {
	if set := s.Set(g); len(set) > 0 && set[0].From <= 1 {
		return set[0].To
	}
	return 0
}

// clone copies a state.
func (s *State) clone() State {
	return State{*s.Given.Clone(), *s.Seen.Clone(), *s.SeenFAI.Clone(), *s.Read.Clone()}
}
