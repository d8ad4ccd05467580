package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// MergeOptions say what of a mailbox is merged, and where.
type MergeOptions struct {
	// Folder is a path below the top of the mailbox, "Inbox/Projects"; it comes
	// with the folders below it. "": all.
	Folder string
	// Into is the name of a folder beside Inbox that gets everything; "": each
	// item goes to the folder where it was.
	Into string
	Step Step // told of items looked at
}

// Merged says what a merge did.
type Merged struct {
	Folders int `json:"folders"`
	Copied  int `json:"copied"`
	There   int `json:"there"`             // items that the mailbox had already
	Damaged int `json:"damaged,omitempty"` // items of the backup that cannot be read
}

// merge is one at work.
type merge struct {
	MergeOptions
	Merged
	ctx      context.Context
	src, dst *store.Mailbox
	folders  map[store.FolderID]*store.Folder // of src
	to       map[store.FolderID]store.FolderID
	looked   int64
	total    int64
}

// mergeItems is how many items are copied in one batch, if they are small.
const mergeItems = 16

// Merge copies what dst lacks from src, an earlier state of it in another
// database, while dst is in use. An item is there already if one with its OID
// and time is, in whatever folder but not among the recoverable ones, or one
// with its Message-ID and time is in the folder it would be copied to. So a
// merge that was stopped can be started again.
func Merge(ctx context.Context, src, dst *store.Mailbox, o MergeOptions) (Merged, error) {
	g := &merge{MergeOptions: o, ctx: ctx, src: src, dst: dst, to: map[store.FolderID]store.FolderID{}}
	v, err := src.View(ctx)
	if err != nil {
		return g.Merged, err
	}
	g.folders, err = v.Folders(ctx)
	v.Close()
	if err != nil {
		return g.Merged, err
	}
	wanted, err := g.wanted()
	if err != nil {
		return g.Merged, err
	}
	for _, id := range wanted {
		k := g.folders[id].Counts
		g.total += int64(k.Total) + int64(k.Associated)
	}
	for _, id := range wanted {
		if err := g.folder(id); err != nil {
			return g.Merged, err
		}
	}
	return g.Merged, nil
}

// wanted returns the folders to merge, parents first.
func (g *merge) wanted() ([]store.FolderID, error) {
	root := store.FolderSubtree
	for _, name := range strings.FieldsFunc(g.Folder, func(r rune) bool { return r == '/' }) {
		next := store.FolderID(0)
		for id, f := range g.folders {
			if f.Parent == root && store.FoldName(f.Name) == store.FoldName(name) {
				next = id
			}
		}
		if root = next; root == 0 {
			return nil, model.E("backup.merge", model.KindNotFound, "folder "+g.Folder, nil)
		}
	}
	out := []store.FolderID{root}
	for i := 0; i < len(out); i++ {
		var below []store.FolderID
		for id, f := range g.folders {
			if f.Parent == out[i] && id != out[i] {
				below = append(below, id)
			}
		}
		slices.Sort(below)
		out = append(out, below...)
	}
	if root == store.FolderSubtree {
		out = out[1:]
	}
	return out, nil
}

// target finds, or makes, the folder of dst for one of src.
func (g *merge) target(id store.FolderID) (store.FolderID, error) {
	if to, ok := g.to[id]; ok {
		return to, nil
	}
	f := g.folders[id]
	switch {
	case id == store.FolderSubtree && g.Into != "":
		to, err := g.child(store.FolderSubtree, g.Into, "")
		g.to[id] = to
		return to, err
	case f == nil:
		return 0, model.E("backup.merge", model.KindCorrupt, fmt.Sprintf("folder %d of the backup", id), nil)
	case id < 256 && g.Into == "" || id == store.FolderSubtree: // every mailbox has it
		g.to[id] = id
		return id, nil
	}
	parent, err := g.target(f.Parent)
	if err != nil {
		return 0, err
	}
	to, err := g.child(parent, f.Name, f.Class)
	g.to[id] = to
	return to, err
}

func (g *merge) child(parent store.FolderID, name, class string) (store.FolderID, error) {
	for range 2 {
		v, err := g.dst.View(g.ctx)
		if err != nil {
			return 0, err
		}
		f, err := v.Child(g.ctx, parent, name)
		v.Close()
		if err == nil {
			return f.ID, nil
		}
		if !model.IsKind(err, model.KindNotFound) {
			return 0, err
		}
		if f, err = g.dst.CreateFolder(g.ctx, parent, name, class); err == nil {
			g.Folders++
			return f.ID, nil
		}
		if !model.IsKind(err, model.KindExists) { // somebody has just made it
			return 0, err
		}
	}
	return 0, model.E("backup.merge", model.KindConflict, "folder "+name, nil)
}

// entry is an item as a merge compares it.
type entry struct {
	oid  store.OID
	time int64
	name string
}

// entries lists the items of a folder.
func entries(ctx context.Context, m *store.Mailbox, id store.FolderID) ([]entry, error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	ids := map[store.UID]string{}
	var bad error
	err = v.Summaries(ctx, id, 1, ^store.UID(0), func(r *store.Row) bool {
		p, err := r.Props()
		if err != nil {
			bad = err
		}
		ids[r.UID] = p.Text(mapi.TagInternetMessageID)
		return true
	})
	if err == nil {
		err = bad
	}
	var out []entry
	for _, sp := range []store.Space{store.Normal, store.Associated} {
		if err != nil {
			break
		}
		err = v.SpaceStates(ctx, id, sp, func(s *store.State) bool {
			e := entry{s.OID, s.Time.UnixNano(), ids[s.UID()]}
			if e.name == "" {
				e.name = fmt.Sprintf("%d octets in space %d", s.Size, sp)
			}
			out = append(out, e)
			return true
		})
	}
	return out, err
}

// present says which of the items dst has under the same OID, wherever.
func (g *merge) present(list []entry) ([]bool, error) {
	v, err := g.dst.View(g.ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	oids := make([]store.OID, len(list))
	for i, e := range list {
		oids[i] = e.oid
	}
	places, _, err := v.FindMany(g.ctx, oids)
	if err != nil {
		return nil, err
	}
	var at []int
	var found []store.Place
	for i, p := range places {
		if p.Folder != 0 && p.Space != store.Deleted {
			at, found = append(at, i), append(found, p)
		}
	}
	states, err := v.StatesAt(g.ctx, found)
	out := make([]bool, len(list))
	for n, s := range states {
		if s != nil && s.Time.UnixNano() == list[at[n]].time {
			out[at[n]] = true
		}
	}
	return out, err
}

func (g *merge) folder(id store.FolderID) error {
	list, err := entries(g.ctx, g.src, id)
	if err != nil {
		return err
	}
	to, err := g.target(id)
	if err != nil {
		return err
	}
	has, err := entries(g.ctx, g.dst, to)
	if err != nil {
		return err
	}
	type named struct {
		time int64
		name string
	}
	there, err := g.present(list)
	if err != nil {
		return err
	}
	// What is known by its OID does not stand for another that looks the same.
	known := map[store.OID]bool{}
	for i, e := range list {
		known[e.oid] = there[i]
	}
	free := map[named]int{}
	for _, e := range has {
		if !known[e.oid] {
			free[named{e.time, e.name}]++
		}
	}
	var lacking []store.OID
	for i, e := range list {
		k := named{e.time, e.name}
		if !there[i] && free[k] > 0 {
			free[k]--
			there[i] = true
		}
		if there[i] {
			g.There++
			g.looked++
		} else {
			lacking = append(lacking, e.oid)
		}
	}
	for len(lacking) > 0 {
		n := min(mergeItems, len(lacking))
		if err := g.copy(lacking[:n], to); err != nil {
			return err
		}
		lacking = lacking[n:]
		if g.Step != nil {
			if err := g.Step(g.ctx, g.looked, g.total); err != nil {
				return err
			}
		}
	}
	return nil
}

// damaged is an error of an item of the backup, which the others do not share.
type damaged struct{ error }

// Unwrap implements the interface of package errors.
func (d damaged) Unwrap() error { return d.error }

// copy copies items in one batch, or one by one if they are too large for that or
// one is damaged, which is counted and passed over.
func (g *merge) copy(oids []store.OID, to store.FolderID) error {
	err := g.batch(oids, to)
	bad := errors.As(err, new(damaged))
	switch {
	case len(oids) == 1 && bad:
		g.Damaged++
		g.looked++
		return nil
	case len(oids) == 1 || !bad && !model.IsKind(err, model.KindTooLarge):
		return err
	}
	for _, o := range oids {
		if err := g.copy([]store.OID{o}, to); err != nil {
			return err
		}
	}
	return nil
}

func (g *merge) batch(oids []store.OID, to store.FolderID) error {
	v, err := g.src.View(g.ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	var items []*store.NewItem
	for _, o := range oids {
		n, release, err := v.Portable(g.ctx, o, g.dst)
		if model.IsKind(err, model.KindCorrupt) {
			return damaged{err}
		}
		if err != nil {
			return err
		}
		defer release()
		items = append(items, n)
	}
	if _, err := g.dst.Append(g.ctx, to, items...); err != nil {
		return err
	}
	g.Copied += len(oids)
	g.looked += int64(len(oids))
	return nil
}
