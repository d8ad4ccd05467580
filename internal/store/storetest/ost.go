package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/ics"
)

// OST is a client with an offline store of one folder: it downloads by ICS, in
// part when its line breaks, and uploads what it changed in its copy.
type OST struct {
	Folder store.FolderID
	Opt    ics.Options
	Clock  func() time.Time
	// State is what it sends; PCL and Copy are what it has of each item.
	State ics.State
	Copy  map[mapi.GID]Copied
	PCL   map[mapi.GID][]byte

	uploads int
	Whole   int // downloads that compared the whole folder
}

// Copied is what it has of an item.
type Copied struct {
	Subject string
	Flags   store.Flags // without Read and DeletedMark, which ICS keeps apart or not at all
	Read    bool
	FAI     bool
}

// NewOST returns an empty copy.
func NewOST(f store.FolderID, opt ics.Options, clock func() time.Time) *OST {
	return &OST{Folder: f, Opt: opt, Clock: clock, Copy: map[mapi.GID]Copied{}, PCL: map[mapi.GID][]byte{}}
}

// Name implements Cache.
func (c *OST) Name() string {
	return fmt.Sprintf("offline store of folder %d (normal %v, associated %v)", c.Folder, c.Opt.Normal, c.Opt.Associated)
}

// Sync implements Cache; now and then the line breaks first.
func (c *OST) Sync(ctx context.Context, m *store.Mailbox, r *rand.Rand) error {
	if r.IntN(3) == 0 {
		if _, err := c.Download(ctx, m, r.IntN(5)); err != nil {
			return err
		}
	}
	_, err := c.Download(ctx, m, -1)
	return err
}

// Download takes what the server has; after cut changes, if that is not
// negative, the line breaks.
func (c *OST) Download(ctx context.Context, m *store.Mailbox, cut int) (diff *ics.Diff, err error) {
	// A download that fails without a state to go on from is forgotten.
	items, pcls := maps.Clone(c.Copy), maps.Clone(c.PCL)
	defer func() {
		if err != nil {
			c.Copy, c.PCL = items, pcls
		}
	}()
	return diff, Look(ctx, m, func(v *store.View) error {
		if diff, err = ics.Contents(ctx, v, c.Folder, &c.State, c.Opt); err != nil {
			return err
		}
		if diff.Whole {
			c.Whole++
		}
		if cut >= 0 && cut < len(diff.Changed) {
			for i := range diff.Changed[:cut] {
				if err := c.take(ctx, v, &diff.Changed[i]); err != nil {
					return err
				}
			}
			c.State, err = diff.Partial(ctx, v, &c.State, cut)
			return err
		}
		for i := range diff.Changed {
			if err := c.take(ctx, v, &diff.Changed[i]); err != nil {
				return err
			}
		}
		return c.finish(ctx, v, diff)
	})
}

func (c *OST) finish(ctx context.Context, v *store.View, diff *ics.Diff) error {
	for _, gone := range []*ics.Set{&diff.Deleted, &diff.OutOfScope} {
		gone.Iterate(func(g model.GUID, from, to uint64) bool {
			for as := range c.Copy {
				if as.Replica == g && as.Counter >= from && as.Counter <= to {
					delete(c.Copy, as)
				}
			}
			return true
		})
	}
	for names, read := range map[*[]mapi.GID]bool{&diff.Read: true, &diff.Unread: false} {
		for _, as := range *names {
			x, ok := c.Copy[as]
			if !ok {
				return fmt.Errorf("%s: read state of item %v, which the client does not have", c.Name(), as)
			}
			x.Read = read
			c.Copy[as] = x
		}
	}
	// The state travels over the wire.
	for from, to := range map[*ics.Set]*ics.Set{&diff.Final.Given: &c.State.Given, &diff.Final.Seen: &c.State.Seen,
		&diff.Final.SeenFAI: &c.State.SeenFAI, &diff.Final.Read: &c.State.Read} {
		s, err := mapi.DecodeIDSet[model.GUID](from.Append(nil))
		if err != nil {
			return err
		}
		*to = *s
	}
	return nil
}

// take downloads one item.
func (c *OST) take(ctx context.Context, v *store.View, s *store.State) error {
	it, err := v.ItemAt(ctx, s.Place)
	if err != nil {
		return err
	}
	own, err := v.ReplicaGUID(ctx, store.OwnReplica)
	if err != nil {
		return err
	}
	p, err := mapi.ParsePCL(s.Foreign.PCL)
	if err != nil {
		return err
	}
	as := ics.Name(own, s)
	c.Copy[as] = Copied{it.Summary.Props.Text(mapi.TagSubject), s.Flags &^ (store.Read | store.DeletedMark), s.Flags&store.Read != 0, s.Place.Space == store.Associated}
	c.PCL[as] = p.With(mapi.CounterXID(own, s.CN.Counter)).Append(nil)
	return nil
}

// Compare implements Cache.
func (c *OST) Compare(ctx context.Context, m *store.Mailbox) error {
	want := NewOST(c.Folder, c.Opt, c.Clock)
	err := Look(ctx, m, func(v *store.View) error {
		for sp, on := range map[store.Space]bool{store.Normal: c.Opt.Normal, store.Associated: c.Opt.Associated} {
			if !on {
				continue
			}
			states, err := States(ctx, v, c.Folder, sp)
			if err != nil {
				return err
			}
			for i := range states {
				if err := want.take(ctx, v, &states[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return same(c.Name(), c.Copy, want.Copy)
}

// Upload changes or deletes an item of an up-to-date copy, makes another, and
// sends both.
func (c *OST) Upload(ctx context.Context, m *store.Mailbox, r *rand.Rand) error {
	c.uploads++
	own := m.Header().ReplGUID
	client := model.GUID{9, byte(c.Folder), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}
	xid := mapi.CounterXID(client, uint64(c.uploads))
	for as := range c.Copy {
		key := as.AppendSourceKey(nil)
		if r.IntN(3) == 0 {
			if err := ics.Deletions(ctx, m, c.Folder, [][]byte{key}, r.IntN(2) == 0); err != nil {
				return err
			}
			break
		}
		pcl, err := mapi.ParsePCL(c.PCL[as])
		if err != nil {
			return err
		}
		up, err := ics.Import(ctx, m, c.Folder, &ics.Upload{SourceKey: key, ChangeKey: xid.Append(nil), PCL: pcl.With(xid).Append(nil), Modified: c.Clock(),
			Edit: store.Edit{Set: subject(firstWord(c.Copy[as].Subject) + fmt.Sprint(" upload ", c.uploads)), Derived: &store.NewItem{}}})
		if err != nil && !model.IsKind(err, model.KindNotFound) {
			return err
		}
		if err == nil && up.Outcome == ics.Ignored {
			return fmt.Errorf("%s: a new version was taken for an old one", c.Name())
		}
		break
	}
	first, err := m.ReserveIDs(ctx, 1)
	if err != nil {
		return err
	}
	key := mapi.GID{Replica: own, Counter: uint64(first)}.AppendSourceKey(nil)
	up, err := ics.Import(ctx, m, c.Folder, &ics.Upload{SourceKey: key, ChangeKey: xid.Append(nil), PCL: mapi.PCL{xid}.Append(nil), Modified: c.Clock(),
		Associated: r.IntN(2) == 0, Edit: store.Edit{Set: subject(fmt.Sprint("made ", c.uploads))}})
	if err == nil && up.State.MID != first {
		return fmt.Errorf("%s: a new item got MID %d, not %d", c.Name(), up.State.MID, first)
	}
	return err
}

// firstWord is the part of a subject that uploads keep.
func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

func subject(s string) (p mapi.Properties) {
	p.Set(mapi.TagSubject, s)
	return p
}
