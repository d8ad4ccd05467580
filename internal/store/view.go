package store

import (
	"context"
	"io"
	"maps"
	"sync/atomic"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// View is one state of a mailbox, for one call: everything it shows is durable,
// so whatever is built on it may leave the server. It must be closed, soon; a
// reader that outlives viewTime gets KindExpired and goes on with a new one.
type View struct {
	m    *Mailbox
	snap kv.Snapshot
	last atomic.Pointer[seenIndex] // see Briefs
}

// viewTime is how long a view may be used.
const viewTime = 60 * time.Second

// View returns the present state of the mailbox. It waits, normally not at all,
// until what this mailbox's writers have ordered is on disk.
func (m *Mailbox) View(ctx context.Context) (*View, error) {
	snap, err := m.db.kv.NewSnapshot("mailbox", viewTime)
	if err != nil {
		return nil, wrap("store.view", "mailbox", err)
	}
	if err := m.durable(ctx, snap.Sequence()); err != nil {
		snap.Close()
		return nil, wrap("store.view", "mailbox", err)
	}
	return &View{m: m, snap: snap}, nil
}

// Close frees the view.
func (v *View) Close() { v.snap.Close() }

// Incarnation returns the incarnation that the view shows.
func (v *View) Incarnation(ctx context.Context) (uint32, error) {
	b, err := v.snap.Get(ctx, v.m.num.Key(layout.SubHeader))
	if err != nil {
		return 0, wrap("store.view", "mailbox", err)
	}
	var h Header
	err = h.Decode(b)
	return h.Incarnation, err
}

// Folders returns all folders by id.
func (v *View) Folders(ctx context.Context) (map[FolderID]*Folder, error) {
	fs, err := layout.ReadFolders(ctx, v.snap, v.m.num)
	if err == nil && !v.m.full() {
		maps.DeleteFunc(fs, func(id FolderID, _ *Folder) bool { return v.m.Rights(id)&(RightVisible|RightReadAny) == 0 })
	}
	return fs, err
}

// Folder returns one folder, KindNotFound if it does not exist.
func (v *View) Folder(ctx context.Context, id FolderID) (*Folder, error) {
	m := v.m.num
	if err := v.m.may("store.folder", id, RightVisible|RightReadAny); err != nil {
		return nil, model.E("store.folder", model.KindNotFound, "folder", nil)
	}
	vals, err := v.snap.GetMany(ctx, [][]byte{m.ID(layout.SubFolder, uint64(id)), m.ID(layout.SubCounts, uint64(id))})
	if err != nil {
		return nil, wrap("store.folder", "folder", err)
	}
	if vals[0] == nil || vals[1] == nil {
		return nil, model.E("store.folder", model.KindNotFound, "folder", nil)
	}
	f, err := layout.DecodeFolder(id, vals[0])
	if err != nil {
		return nil, err
	}
	return f, f.Counts.Decode(vals[1])
}

// Child finds a folder by its parent and name, compared without case.
func (v *View) Child(ctx context.Context, parent FolderID, name string) (*Folder, error) {
	ref, err := v.snap.Get(ctx, v.m.num.ChildName(parent, name))
	if err != nil {
		return nil, wrap("store.folder", name, err)
	}
	if len(ref) != 7 {
		return nil, layout.Corrupt("folder name")
	}
	return v.Folder(ctx, FolderID(layout.Get48(ref[1:])))
}

// States calls fn for the state rows of normal items with UIDs from to to, both
// included and ascending, until it returns false. The State is reused.
func (v *View) States(ctx context.Context, f FolderID, from, to UID, fn func(*State) bool) error {
	if err := v.m.may("store.read", f, RightReadAny); err != nil {
		return err
	}
	return layout.ScanStates(ctx, v.snap, v.m.num, f, Normal, uint64(from), uint64(to), 0, fn)
}

// Recoverable calls fn for the deleted items of a folder.
func (v *View) Recoverable(ctx context.Context, f FolderID, fn func(*State) bool) error {
	if err := v.m.mayRead("store.read", f, Deleted); err != nil {
		return err
	}
	return layout.ScanStates(ctx, v.snap, v.m.num, f, Deleted, 0, layout.MaxN, 0, fn)
}

// Row is a summary row; it is valid during the call that hands it out.
type Row struct {
	UID      UID
	Envelope []byte
	props    []byte
}

// Props decodes the properties of the summary.
func (r *Row) Props() (mapi.Properties, error) { return mapi.DecodeProperties(r.props) }

// Summaries calls fn for the summary rows of normal items with UIDs from to to,
// both included and ascending, until it returns false. The Row is reused.
func (v *View) Summaries(ctx context.Context, f FolderID, from, to UID, fn func(*Row) bool) error {
	if err := v.m.may("store.read", f, RightReadAny); err != nil {
		return err
	}
	it := v.snap.Scan(ctx, v.m.num.Places(layout.SubSummary, Place{Folder: f, Space: Normal, N: uint64(from)}, Place{Folder: f, Space: Normal, N: uint64(to)}))
	var row Row
	for it.Next() {
		p, ok := layout.ParsePlace(it.Key())
		if !ok {
			it.Close()
			return layout.Corrupt("summary key")
		}
		row.UID = UID(p.N)
		var err error
		if row.Envelope, row.props, err = layout.SplitSummary(it.Value()); err != nil {
			it.Close()
			return err
		}
		if !fn(&row) {
			break
		}
	}
	return wrap("store.summaries", "folder", it.Close())
}

// Streams returns the stream rows of items, in the order of rows; nil for one
// that is gone.
func (v *View) Streams(ctx context.Context, rows []RowID) ([]*Stream, error) {
	keys, nums := make([][]byte, len(rows)), make([]uint64, len(rows))
	for i, r := range rows {
		keys[i], nums[i] = v.m.num.ID(layout.SubStream, uint64(r)), uint64(r)
	}
	vals, err := content.GetRun(ctx, v.snap, nums, keys)
	if err != nil {
		return nil, wrap("store.streams", "items", err)
	}
	out := make([]*Stream, len(rows))
	for i, b := range vals {
		if b == nil {
			continue
		}
		out[i] = new(Stream)
		if err := out[i].Decode(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Body reads the octets of an item: its trace headers, then the content. It
// outlives the view. It is for one goroutine at a time.
type Body struct {
	trace   []byte
	content *content.Reader // nil if there is none
}

// Open opens an item's octets.
func (v *View) Open(ctx context.Context, s *Stream) (*Body, error) {
	b := &Body{trace: s.Trace}
	if s.Content != 0 {
		var err error
		if b.content, err = v.m.db.content.Open(ctx, v.snap, s.Content); err != nil {
			return nil, wrap("store.open", "content", err)
		}
	}
	return b, nil
}

// Size is the number of octets.
func (b *Body) Size() int64 {
	n := int64(len(b.trace))
	if b.content != nil {
		n += b.content.Size()
	}
	return n
}

// TraceSize is the number of octets before the content: what offsets in the
// structure have to be moved by.
func (b *Body) TraceSize() int64 { return int64(len(b.trace)) }

// ReadAt implements io.ReaderAt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < 0 {
		return 0, model.E("store.read", model.KindInvalid, "negative offset", nil)
	}
	if off < int64(len(b.trace)) {
		n = copy(p, b.trace[off:])
		off += int64(n)
	}
	if n == len(p) {
		return n, nil
	}
	if b.content == nil {
		return n, io.EOF
	}
	c, err := b.content.ReadAt(p[n:], off-int64(len(b.trace)))
	return n + c, err
}

// WriteRange copies octets [off, off+n) to w.
func (b *Body) WriteRange(w io.Writer, off, n int64) error {
	if off < 0 || n < 0 {
		return model.E("store.read", model.KindInvalid, "negative range", nil)
	}
	if t := int64(len(b.trace)); off < t {
		k := min(n, t-off)
		if _, err := w.Write(b.trace[off : off+k]); err != nil {
			return err
		}
		off, n = off+k, n-k
	}
	if n <= 0 || b.content == nil {
		return nil
	}
	return b.content.WriteRange(w, off-int64(len(b.trace)), n)
}

// OpenContent opens a stream by its id, for attachments.
func (v *View) OpenContent(ctx context.Context, id content.ID) (*content.Reader, error) {
	r, err := v.m.db.content.Open(ctx, v.snap, id)
	return r, wrap("store.open", "content", err)
}

// Find returns where an item is by its OID.
func (v *View) Find(ctx context.Context, o OID) (Place, error) {
	b, err := v.snap.Get(ctx, v.m.num.ID(layout.SubByOID, uint64(o)))
	if err != nil {
		return Place{}, wrap("store.find", "item", err)
	}
	p, err := layout.DecodePlace(b)
	if err == nil {
		err = v.m.mayRead("store.find", p.Folder, p.Space)
	}
	return p, err
}

// Changes calls fn for the entries of a folder's log after since, in order,
// until it returns false. complete is false if history before the folder's
// horizon was asked for: then the caller must compare everything.
func (v *View) Changes(ctx context.Context, f FolderID, since Seq, fn func(*Change) bool) (complete bool, err error) {
	if err := v.m.may("store.changes", f, RightReadAny); err != nil {
		return false, err
	}
	return layout.ScanChanges(ctx, v.snap, v.m.num, f, since, fn)
}

// MailboxChanges is Changes for the whole mailbox.
func (v *View) MailboxChanges(ctx context.Context, since Seq, fn func(*Change) bool) (complete bool, err error) {
	m := v.m.num
	if err := v.m.mayAll("store.changes"); err != nil {
		return false, err
	}
	h, err := layout.ReadHorizon(ctx, v.snap, m, 0)
	if err != nil {
		return false, err
	}
	return since >= h, layout.ScanLog(ctx, v.snap, m.LogAt(since+1), m.Key(layout.SubLog), fn)
}
