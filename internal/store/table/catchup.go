package table

import (
	"context"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Members of a search folder follow the mailbox's log after delivery, never
// within it. A step reads one view, works out what it means for some items, and
// writes members and position in one batch, so that a step that is lost or done
// twice changes nothing. A search folder begins with a filling: all items of its
// scope, in the order of folder and UID. What the log can not tell (it was cut,
// folders were moved) leads to a new filling, which begins with a sweep of the
// members that do not belong any more.

const (
	stepItems   = 500  // members a step puts in or out
	stepVisited = 5000 // items a step of a filling looks at
)

// sweeping in SearchState.Filling.Space: N is the OID to go on from.
const sweeping = store.Deleted

// CatchUp brings a search folder to the present state of its mailbox.
// KindNotFound: the folder is none.
func CatchUp(ctx context.Context, m *store.Mailbox, f store.FolderID) error {
	for {
		done, err := Step(ctx, m, f)
		if err != nil || done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return model.E("table.catchup", model.KindCanceled, "search folder", err)
		}
	}
}

// CatchUpAll brings all search folders of a mailbox to its present state.
func CatchUpAll(ctx context.Context, m *store.Mailbox) error {
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	all, err := v.Searches(ctx)
	v.Close()
	for _, f := range all {
		if err == nil {
			err = CatchUp(ctx, m, f)
		}
		if model.IsKind(err, model.KindNotFound) {
			err = nil // another has made it an ordinary folder
		}
	}
	return err
}

// Step does a bounded part of CatchUp and reports whether nothing is left.
func Step(ctx context.Context, m *store.Mailbox, f store.FolderID) (done bool, err error) {
	from, to, members, err := plan(ctx, m, f)
	if err != nil || from == to && len(members) == 0 {
		return err == nil && !from.Busy, err
	}
	err = m.AdvanceSearch(ctx, f, from, to, members)
	if model.IsKind(err, model.KindConflict) {
		return false, nil // somebody else has done it
	}
	return false, err
}

// stepper works out one step.
type stepper struct {
	ctx     context.Context
	v       *store.View
	folder  store.FolderID
	search  *Search
	cond    *condition
	scope   map[store.FolderID]bool
	members []store.SearchMember
}

// plan reads where a search folder is and works out its next step.
func plan(ctx context.Context, m *store.Mailbox, f store.FolderID) (from, to store.SearchState, _ []store.SearchMember, err error) {
	v, err := m.View(ctx)
	if err != nil {
		return from, to, nil, err
	}
	defer v.Close()
	def, from, err := v.Search(ctx, f)
	if err != nil {
		return from, to, nil, err
	}
	s := &stepper{ctx: ctx, v: v, folder: f}
	if s.search, err = DecodeSearch(def); err != nil {
		return from, to, nil, err
	}
	if s.cond, err = newCondition(s.search.R); err != nil {
		return from, to, nil, err
	}
	if err = s.readScope(); err != nil {
		return from, to, nil, err
	}
	to = from
	switch {
	case from.Busy && from.Filling.Space == sweeping:
		err = s.sweep(&to)
	case from.Busy:
		err = s.fill(&to)
	default:
		err = s.follow(&to)
	}
	return from, to, s.members, err
}

// readScope finds the folders whose items may be members.
func (s *stepper) readScope() error {
	s.scope = map[store.FolderID]bool{}
	all, err := s.v.Folders(s.ctx)
	if err != nil {
		return err
	}
	for id, f := range all {
		for range maxFolderDepth {
			if slices.Contains(s.search.Scope, f.ID) {
				s.scope[id] = true
				break
			}
			if f = all[f.Parent]; f == nil || !s.search.Recursive {
				break
			}
		}
	}
	delete(s.scope, s.folder)
	return nil
}

// sweep takes out members that are not in the scope any more.
func (s *stepper) sweep(to *store.SearchState) error {
	var oids []store.OID
	err := s.v.SearchMembers(s.ctx, s.folder, store.OID(to.Filling.N), func(o store.OID) bool {
		oids = append(oids, o)
		return len(oids) < stepItems
	})
	if err != nil {
		return err
	}
	if len(oids) < stepItems {
		to.Filling = store.Place{}
	} else {
		to.Filling.N = uint64(oids[len(oids)-1]) + 1
	}
	return s.judge(oids, false)
}

// fill looks at items from a place on.
func (s *stepper) fill(to *store.SearchState) error {
	folders := make([]store.FolderID, 0, len(s.scope))
	for f := range s.scope {
		if f >= to.Filling.Folder {
			folders = append(folders, f)
		}
	}
	slices.Sort(folders)
	visited := 0
	for _, f := range folders {
		at := store.Place{Folder: f}
		if f == to.Filling.Folder {
			at = to.Filling
		}
		next, err := s.fillFrom(at, &visited)
		if err != nil {
			return err
		}
		if next.N != 0 {
			to.Filling = next
			return nil
		}
	}
	to.Busy, to.Filling = false, store.Place{}
	return nil
}

// fillFrom looks at the items of one folder; next is where to go on, its N 0 if
// that was all.
func (s *stepper) fillFrom(at store.Place, visited *int) (next store.Place, err error) {
	src := Contents{Folder: at.Folder}
	p := parts(s.cond.need) | store.WantState
	r, err := src.row(s.ctx, s.v, p)
	if err != nil {
		return next, err
	}
	var failed error
	err = s.v.Items(s.ctx, at, p, func(it *store.ItemRow) bool {
		if *visited >= stepVisited || len(s.members) >= stepItems {
			next = it.Place
			return false
		}
		*visited++
		r.ItemRow, r.bagged = it, p&store.WantBag != 0
		var ok bool
		if ok, failed = s.cond.holds(0, r); ok {
			s.members = append(s.members, store.SearchMember{OID: it.State.OID, Read: it.State.Flags&store.Read != 0})
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return next, err
}

// follow reads the log from the position on.
func (s *stepper) follow(to *store.SearchState) error {
	var oids []store.OID
	again := false
	complete, err := s.v.MailboxChanges(s.ctx, to.Position, func(c *store.Change) bool {
		if len(oids) >= stepItems && c.Seq != to.Position {
			return false
		}
		switch c.Kind {
		case store.ChangeItem, store.ChangeGone:
			oids = append(oids, c.OID)
		case store.ChangeFolder:
			again = again || s.search.Recursive && s.hasItems(c.Folder)
		case store.ChangeNoFolder:
			again = again || s.search.Recursive
		}
		to.Position = c.Seq
		return true
	})
	if err != nil {
		return err
	}
	if (!complete || again) && !s.search.Static {
		if to.Position, err = s.v.LastSeq(s.ctx); err != nil {
			return err
		}
		to.Busy, to.Filling = true, store.Place{Space: sweeping}
		return nil
	}
	return s.judge(oids, !s.search.Static)
}

// hasItems reports whether a folder, or one in it, might bring or take items.
func (s *stepper) hasItems(f store.FolderID) bool {
	x, err := s.v.Folder(s.ctx, f)
	if err != nil || x.Counts.Total > 0 {
		return true
	}
	all, err := s.v.Folders(s.ctx)
	for _, y := range all {
		if y.Parent == f {
			return true
		}
	}
	return err != nil
}

// judge decides of items by id whether they are members. Without admit only who
// is one already may stay.
func (s *stepper) judge(oids []store.OID, admit bool) error {
	slices.Sort(oids)
	oids = slices.Compact(oids)
	was, err := s.v.SearchHas(s.ctx, s.folder, oids)
	if err != nil {
		return err
	}
	verdict := make([]store.SearchMember, len(oids))
	for i, o := range oids {
		verdict[i] = store.SearchMember{OID: o, Gone: true}
	}
	places, there, err := s.v.FindMany(s.ctx, oids)
	if err != nil {
		return err
	}
	var at []int
	var look []store.Place
	for i, p := range places {
		if there[i] && p.Space == store.Normal && s.scope[p.Folder] && (admit || was[i]) {
			at, look = append(at, i), append(look, p)
		}
	}
	need := append([]mapi.Tag{mapi.TagRead}, s.cond.need...)
	err = getItems(s.ctx, s.v, &Contents{}, look, need, func(i int, r Row) error {
		ok, err := s.cond.holds(0, r)
		if err != nil {
			return err
		}
		x := &verdict[at[i]]
		read, err := r.Value(mapi.TagRead)
		x.Read, x.Gone = read == true, !ok && (admit || !s.search.Static)
		return err
	})
	for i, x := range verdict {
		if err == nil && (was[i] || !x.Gone) {
			s.members = append(s.members, x)
		}
	}
	return err
}
