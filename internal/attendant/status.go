package attendant

import (
	"context"
	"sort"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Status is what is known of a store.
type Status struct {
	GUID    model.GUID `json:"guid"`
	Name    string     `json:"name"`
	Group   string     `json:"storageGroup"`
	State   State      `json:"state"`
	Error   string     `json:"error,omitempty"`
	Since   time.Time  `json:"since"`
	Used    uint64     `json:"bytesUsed,omitempty"`
	Free    uint64     `json:"bytesFree,omitempty"`
	Boxes   int        `json:"mailboxes"`
	Commits uint64     `json:"commits"`
	Syncs   uint64     `json:"syncs"`
	// Maintenance is what the last run did, or has done so far; nil: none.
	Maintenance *store.Maintenance `json:"maintenance,omitempty"`
}

// Status lists the stores by storage group and name.
func (s *Stores) Status(ctx context.Context) []Status {
	var out []Status
	var dbs []*store.Database
	s.mu.Lock()
	for guid, m := range s.m {
		st := Status{GUID: guid, Name: m.store.Name, Group: m.group.Name, State: m.state, Since: m.since}
		if m.err != nil {
			st.Error = m.err.Error()
		}
		out = append(out, st)
		dbs = append(dbs, m.db)
	}
	s.mu.Unlock()
	for i, db := range dbs { // nobody's look-up waits for the reading
		if db != nil {
			out[i].measure(ctx, db)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Group+"\x00"+out[i].Name < out[j].Group+"\x00"+out[j].Name })
	return out
}

// measure fills in what a mounted store's database tells.
func (st *Status) measure(ctx context.Context, db *store.Database) {
	if sp, ok := db.Engine().(kv.Spacer); ok {
		st.Free, st.Used, _ = sp.Space() // zero where the disk does not tell
	}
	if me, ok := db.Engine().(kv.Metered); ok {
		k := me.Metrics()
		st.Commits, st.Syncs = k.Commits, k.Syncs
	}
	if n, err := db.CountMailboxes(ctx); err == nil {
		st.Boxes = n
	}
	if m, err := db.Maintained(ctx); err == nil && !m.Began.IsZero() {
		st.Maintenance = &m
	}
}
