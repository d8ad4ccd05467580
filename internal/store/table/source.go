package table

import (
	"context"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// Row is a row of a source while it is looked at: its values where they stand,
// or made when they are asked for.
type Row interface{ mapi.RawGetter }

// Source is what a table shows: the rows of one kind. Row ids never change
// while the row exists and are not given twice. A Source is for one table.
type Source interface {
	// Default is the order of a table that nobody has sorted.
	Default() []mapi.SortColumn
	// Now is the position of v, and how many rows there are.
	Now(ctx context.Context, v *store.View) (Position, int, error)
	// Scan calls fn for every row, ids ascending, until it returns an error. need
	// are the properties that will be asked for; the Row is valid during the call.
	Scan(ctx context.Context, v *store.View, need []mapi.Tag, fn func(id uint64, r Row) error) error
	// Get calls fn for some rows in the order of ids; those that are gone are
	// left out.
	Get(ctx context.Context, v *store.View, ids []uint64, need []mapi.Tag, fn func(i int, r Row) error) error
	// Changes tells what has happened since a position.
	Changes(ctx context.Context, v *store.View, since Position) (Delta, error)
}

// Position is how far a source's rows have been followed: two numbers whose
// meaning is the source's. The zero Position is before everything.
type Position struct {
	Seq   store.Seq
	Other uint64
}

// Delta is what has happened to a source.
type Delta struct {
	Now     Position
	Changed []uint64 // rows that are new or changed
	Gone    []uint64
	Whole   bool // it is not known what: everything has to be compared
}

// Indexed is a Source whose rows stand somewhere in a sorted order.
type Indexed interface {
	// First returns the first rows in the order, at least n if there are so many,
	// and all that are equal to the last of them; ok false if the order stands
	// nowhere, or too many are equal.
	First(ctx context.Context, v *store.View, o []mapi.SortColumn, n int) (rows []IndexedRow, ok bool, err error)
}

// IndexedRow is a row as it stands in an index: its id and its values of the
// columns of the order.
type IndexedRow struct {
	ID     uint64
	Values []any
}

// Parted is a Source whose rows can be read in several parts at once.
type Parted interface {
	// Parts returns the ids where up to n parts of about one size begin,
	// ascending, the first 0; none if the rows are to be read as one.
	Parts(ctx context.Context, v *store.View, n int) ([]uint64, error)
	// ScanPart is Scan for the rows with ids from from to to, both included. It may
	// be called by several goroutines at once.
	ScanPart(ctx context.Context, v *store.View, from, to uint64, need []mapi.Tag, fn func(id uint64, r Row) error) error
}

// Searching is a Source that can answer conditions by an index.
type Searching interface {
	// Search returns the rows for which c may hold, ids ascending: all for which it
	// does, and if exact no others; ok false if there is no index for it.
	Search(ctx context.Context, v *store.View, c *mapi.Content) (ids []uint64, exact, ok bool, err error)
}

// ListRow is a row of a small table.
type ListRow struct {
	ID    uint64
	Props mapi.Properties
	Sub   func(table mapi.Tag, fn func(mapi.Getter) (bool, error)) error // nil: it has no tables
}

// List is a Source over rows that are few and made all at once: recipients,
// attachments, permissions, rules. It is made anew when the mailbox has changed.
type List struct {
	Order []mapi.SortColumn
	// Rows returns the rows, ids ascending.
	Rows func(ctx context.Context, v *store.View) ([]ListRow, error)
}

// Default implements Source.
func (l *List) Default() []mapi.SortColumn { return l.Order }

// Now implements Source.
func (l *List) Now(ctx context.Context, v *store.View) (Position, int, error) {
	now, err := v.LastSeq(ctx)
	if err != nil {
		return Position{}, 0, err
	}
	rows, err := l.Rows(ctx, v)
	return Position{Seq: now}, len(rows), err
}

// Scan implements Source.
func (l *List) Scan(ctx context.Context, v *store.View, _ []mapi.Tag, fn func(uint64, Row) error) error {
	rows, err := l.Rows(ctx, v)
	for i := range rows {
		if err == nil {
			err = fn(rows[i].ID, listRow{&rows[i]})
		}
	}
	return err
}

// Get implements Source.
func (l *List) Get(ctx context.Context, v *store.View, ids []uint64, _ []mapi.Tag, fn func(int, Row) error) error {
	rows, err := l.Rows(ctx, v)
	if err != nil {
		return err
	}
	at := make(map[uint64]int, len(rows))
	for i := range rows {
		at[rows[i].ID] = i
	}
	for i, id := range ids {
		if k, ok := at[id]; ok {
			if err := fn(i, listRow{&rows[k]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Changes implements Source.
func (l *List) Changes(ctx context.Context, v *store.View, since Position) (Delta, error) {
	now, err := v.LastSeq(ctx)
	return Delta{Now: Position{Seq: now}, Whole: now != since.Seq}, err
}

type listRow struct{ *ListRow }

func (r listRow) Value(t mapi.Tag) (any, error) {
	v, _ := r.Props.Get(t)
	return v, nil
}

func (r listRow) Raw(mapi.Tag) (mapi.Raw, bool, error) { return mapi.Raw{}, false, nil }

func (r listRow) Each(table mapi.Tag, fn func(mapi.Getter) (bool, error)) error {
	if r.Sub == nil {
		return nil
	}
	return r.Sub(table, fn)
}
