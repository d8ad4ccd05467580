// Package storetest models the programs that keep copies of a mailbox: an IMAP
// client with QRESYNC, a client with an offline store (ICS), one of JMAP, one
// of WebDAV and a phone (ActiveSync). Each follows its protocol's rules only,
// and knows what it has been told; after any history its copy must become equal
// to the mailbox. A violation of nearly any rule of the store shows as a copy
// that does not.
//
// A Cache belongs to one goroutine. Sync may fail when the database goes away
// under it; the copy is then as a client's whose line broke, and later Syncs
// put it right.
package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"rialto/internal/store"
)

// Cache is the copy that one client keeps.
type Cache interface {
	// Name says what client it is, for reports.
	Name() string
	// Sync brings the copy up to date, in one or more exchanges.
	Sync(ctx context.Context, m *store.Mailbox, r *rand.Rand) error
	// Compare returns an error that names a difference between the copy, as of
	// the last Sync, and the mailbox. Nothing may have happened in between.
	Compare(ctx context.Context, m *store.Mailbox) error
}

// Look runs fn on a view.
func Look(ctx context.Context, m *store.Mailbox, fn func(v *store.View) error) error {
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

// States returns the states of a space of a folder.
func States(ctx context.Context, v *store.View, f store.FolderID, sp store.Space) (out []store.State, err error) {
	err = v.SpaceStates(ctx, f, sp, func(s *store.State) bool {
		out = append(out, *s)
		return true
	})
	return out, err
}

// shows is what a client sees of an item.
func shows(s *store.State) string {
	return fmt.Sprint(s.Place.Folder, " ", s.Flags, s.Keywords, s.CN, s.Size, s.Time.UnixNano())
}

// same compares two copies and names the first differences.
func same[K comparable, V comparable](who string, have, want map[K]V) error {
	if maps.Equal(have, want) {
		return nil
	}
	var diffs []string
	for k, v := range want {
		if h, ok := have[k]; !ok {
			diffs = append(diffs, fmt.Sprintf("%v is missing: %v", k, v))
		} else if h != v {
			diffs = append(diffs, fmt.Sprintf("%v is %v, should be %v", k, h, v))
		}
	}
	for k, v := range have {
		if _, ok := want[k]; !ok {
			diffs = append(diffs, fmt.Sprintf("%v should be gone: %v", k, v))
		}
	}
	slices.Sort(diffs)
	return fmt.Errorf("%s: %d differences: %v", who, len(diffs), diffs[:min(len(diffs), 5)])
}
