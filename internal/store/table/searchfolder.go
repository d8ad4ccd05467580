package table

import (
	"context"
	"encoding/binary"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store"
)

// Search is the definition of a search folder (MS-OXCFOLD 2.2.1.4).
type Search struct {
	R         mapi.Restriction
	Scope     []store.FolderID
	Recursive bool // the folders below the scope's too
	Static    bool // filled once; from then on items only leave
}

const (
	searchVersion = 1
	maxScope      = 1000
)

// Append appends the stored form, which it checks first.
func (s *Search) Append(b []byte) ([]byte, error) {
	if len(s.Scope) == 0 || len(s.Scope) > maxScope {
		return b, model.E("table.search", model.KindInvalid, "scope", nil)
	}
	b = append(b, searchVersion)
	bits := byte(0)
	if s.Recursive {
		bits |= 1
	}
	if s.Static {
		bits |= 2
	}
	b = binary.AppendUvarint(append(b, bits), uint64(len(s.Scope)))
	for _, f := range s.Scope {
		b = binary.AppendUvarint(b, uint64(f))
	}
	return mapi.AppendRestriction(b, s.R)
}

// DecodeSearch reads what Append wrote.
func DecodeSearch(b []byte) (*Search, error) {
	d := row.Reader{B: b}
	if d.Byte() != searchVersion {
		d.Bad = true
	}
	bits := d.Byte()
	s := &Search{Recursive: bits&1 != 0, Static: bits&2 != 0}
	n := d.Count()
	if d.Bad || n == 0 || n > maxScope || bits > 3 {
		return nil, model.E("table.search", model.KindCorrupt, "search folder", nil)
	}
	for range n {
		s.Scope = append(s.Scope, store.FolderID(d.Uvarint()))
	}
	if d.Bad {
		return nil, model.E("table.search", model.KindCorrupt, "search folder", nil)
	}
	var err error
	s.R, err = mapi.DecodeRestriction(d.B)
	return s, err
}

// SetSearch makes a folder a search folder, without members yet: CatchUp fills
// it. nil makes it an ordinary folder.
func SetSearch(ctx context.Context, m *store.Mailbox, f store.FolderID, s *Search) error {
	if s == nil {
		return m.SetSearch(ctx, f, nil, store.SearchState{})
	}
	def, err := s.Append(nil)
	if err != nil {
		return err
	}
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	at, err := v.LastSeq(ctx)
	v.Close()
	if err != nil {
		return err
	}
	return m.SetSearch(ctx, f, def, store.SearchState{Position: at, Busy: true})
}

// Found is the Source of what a search folder has found. Ids are OIDs.
type Found struct {
	Folder store.FolderID
	items  Contents
}

// Default implements Source: the newest first.
func (s *Found) Default() []mapi.SortColumn { return s.items.Default() }

// Now implements Source.
func (s *Found) Now(ctx context.Context, v *store.View) (Position, int, error) {
	seq, err := v.LastSeq(ctx)
	if err != nil {
		return Position{}, 0, err
	}
	_, st, err := v.Search(ctx, s.Folder)
	return Position{seq, st.Changes}, int(st.Total), err
}

// Scan implements Source.
func (s *Found) Scan(ctx context.Context, v *store.View, need []mapi.Tag, fn func(uint64, Row) error) error {
	run := make([]uint64, 0, getRun)
	flush := func() error {
		err := s.Get(ctx, v, run, need, func(i int, r Row) error { return fn(run[i], r) })
		run = run[:0]
		return err
	}
	var failed error
	err := v.SearchMembers(ctx, s.Folder, 0, func(o store.OID) bool {
		if run = append(run, uint64(o)); len(run) == cap(run) {
			failed = flush()
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil && len(run) > 0 {
		err = flush()
	}
	return err
}

// Get implements Source.
func (s *Found) Get(ctx context.Context, v *store.View, ids []uint64, need []mapi.Tag, fn func(int, Row) error) error {
	oids := make([]store.OID, len(ids))
	for i, id := range ids {
		oids[i] = store.OID(id)
	}
	places, there, err := v.FindMany(ctx, oids)
	if err != nil {
		return err
	}
	var at []int
	n := 0
	for i := range places {
		if there[i] && places[i].Space == store.Normal {
			places[n], at = places[i], append(at, i)
			n++
		}
	}
	return getItems(ctx, v, &s.items, places[:n], need, func(i int, r Row) error { return fn(at[i], r) })
}

// Changes implements Source: members that come or go are known only by how often
// that happened, items that change by the log.
func (s *Found) Changes(ctx context.Context, v *store.View, since Position) (Delta, error) {
	now, _, err := s.Now(ctx, v)
	d := Delta{Now: now}
	if err != nil || now == since {
		return d, err
	}
	if now.Other != since.Other {
		d.Whole = true
		return d, nil
	}
	var oids []store.OID
	complete, err := v.MailboxChanges(ctx, since.Seq, func(c *store.Change) bool {
		if c.Kind == store.ChangeItem || c.Kind == store.ChangeGone {
			oids = append(oids, c.OID)
		}
		return len(oids) <= getRun
	})
	if err != nil || !complete || len(oids) > getRun {
		d.Whole = true
		return d, err
	}
	in, err := v.SearchHas(ctx, s.Folder, oids)
	for i, o := range oids {
		if err == nil && in[i] {
			d.Changed = append(d.Changed, uint64(o)) // one that is gone is read as none
		}
	}
	return d, err
}
