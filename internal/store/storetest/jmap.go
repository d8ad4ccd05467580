package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/delta"
)

// JMAP is a client of a whole mailbox that follows Email/changes (RFC 8621 4.3)
// and starts afresh when changes can not be calculated.
type JMAP struct {
	state   delta.Token
	copy    map[store.OID]string
	Resyncs int
}

// Name implements Cache.
func (c *JMAP) Name() string { return "JMAP" }

// Sync implements Cache.
func (c *JMAP) Sync(ctx context.Context, m *store.Mailbox, r *rand.Rand) error {
	for {
		ch, err := delta.Items(ctx, m, c.state, r.IntN(4))
		if model.IsKind(err, model.KindExpired) {
			return c.afresh(ctx, m)
		}
		if err != nil {
			return err
		}
		if err := c.apply(ctx, m, ch); err != nil {
			return err
		}
		// The state travels as text.
		if c.state, err = delta.Parse(ch.Token.String()); err != nil {
			return err
		}
		if !ch.More {
			return nil
		}
	}
}

func (c *JMAP) apply(ctx context.Context, m *store.Mailbox, ch *delta.Changes[store.OID]) error {
	for _, o := range ch.Destroyed {
		delete(c.copy, o)
	}
	return Look(ctx, m, func(v *store.View) error {
		for _, o := range slices.Concat(ch.Created, ch.Updated) {
			it, err := v.Item(ctx, o)
			if model.IsKind(err, model.KindNotFound) {
				continue // it has gone since: the next answer says so
			}
			if err != nil {
				return err
			}
			if _, has := c.copy[o]; !has && !slices.Contains(ch.Created, o) {
				return fmt.Errorf("JMAP: item %d is told as updated to a client that does not have it", o)
			}
			c.copy[o] = shows(&it.State)
		}
		return nil
	})
}

func (c *JMAP) afresh(ctx context.Context, m *store.Mailbox) (err error) {
	c.Resyncs++
	state, err := delta.Now(ctx, m, 0)
	if err != nil {
		return err
	}
	all, err := everything(ctx, m)
	if err != nil {
		return err
	}
	c.state, c.copy = state, all
	return nil
}

func everything(ctx context.Context, m *store.Mailbox) (map[store.OID]string, error) {
	all := map[store.OID]string{}
	return all, Look(ctx, m, func(v *store.View) error {
		folders, err := v.Folders(ctx)
		if err != nil {
			return err
		}
		for f := range folders {
			states, err := States(ctx, v, f, store.Normal)
			if err != nil {
				return err
			}
			for i := range states {
				all[states[i].OID] = shows(&states[i])
			}
		}
		return nil
	})
}

// Compare implements Cache.
func (c *JMAP) Compare(ctx context.Context, m *store.Mailbox) error {
	want, err := everything(ctx, m)
	if err != nil {
		return err
	}
	return same(c.Name(), c.copy, want)
}

// DAV is a client of one collection that follows sync-collection (RFC 6578).
type DAV struct {
	Folder  store.FolderID
	token   delta.Token
	copy    map[string]string
	Resyncs int
}

// Name implements Cache.
func (c *DAV) Name() string { return fmt.Sprint("WebDAV of folder ", c.Folder) }

// resource is the name of an item in a collection.
func resource(o store.OID, href string) string {
	if href != "" {
		return href
	}
	return store.ObjectName('M', 1, uint64(o))
}

// Sync implements Cache.
func (c *DAV) Sync(ctx context.Context, m *store.Mailbox, r *rand.Rand) error {
	for {
		c.token.Folder = c.Folder
		ch, err := delta.CollectionChanges(ctx, m, c.token, r.IntN(5))
		if model.IsKind(err, model.KindExpired) {
			c.Resyncs++
			tok, err := delta.Now(ctx, m, c.Folder)
			if err != nil {
				return err
			}
			tok.Seq = 0
			c.token, c.copy = tok, map[string]string{}
			continue
		}
		if err != nil {
			return err
		}
		for i := range ch.Changed {
			c.copy[resource(ch.Changed[i].OID, ch.Changed[i].Foreign.Href)] = shows(&ch.Changed[i])
		}
		for _, g := range ch.Removed {
			delete(c.copy, resource(g.OID, g.Href))
		}
		if c.token = ch.Token; !ch.More {
			return nil
		}
	}
}

// Compare implements Cache.
func (c *DAV) Compare(ctx context.Context, m *store.Mailbox) error {
	want := map[string]string{}
	err := Look(ctx, m, func(v *store.View) error {
		states, err := States(ctx, v, c.Folder, store.Normal)
		for i := range states {
			want[resource(states[i].OID, states[i].Foreign.Href)] = shows(&states[i])
		}
		return err
	})
	if err != nil {
		return err
	}
	return same(c.Name(), c.copy, want)
}
