package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/delta"
)

// EAS is a phone that follows one folder by ActiveSync's Sync (MS-ASCMD
// 2.2.1.21): it makes items too, filters by age, and loses responses.
type EAS struct {
	Folder  store.FolderID
	Device  [16]byte
	Clock   func() time.Time
	key     uint32
	cutoff  time.Time
	copy    map[store.OID]string
	pending string // ClientId of an item that has not been confirmed
	made    int
	Resyncs int
	Lost    int // responses
}

// Name implements Cache.
func (c *EAS) Name() string { return fmt.Sprintf("ActiveSync %x of folder %d", c.Device[:1], c.Folder) }

// Sync implements Cache: requests until there is nothing more.
func (c *EAS) Sync(ctx context.Context, m *store.Mailbox, r *rand.Rand) error {
	if days := []int{0, 1, 3, 3, 3}[r.IntN(5)]; days > 0 {
		c.cutoff = c.Clock().Add(-time.Duration(days) * 24 * time.Hour)
	} else {
		c.cutoff = time.Time{}
	}
	if c.pending == "" && r.IntN(3) == 0 {
		c.made++
		c.pending = fmt.Sprintf("client-%x-%d", c.Device[:1], c.made)
	}
	for {
		more, err := c.request(ctx, m, r)
		if model.IsKind(err, model.KindExpired) {
			c.Resyncs++
			c.key, c.copy = 0, map[store.OID]string{}
			continue
		}
		if err != nil || !more {
			return err
		}
	}
}

// request is one Sync request and its response, which may get lost.
func (c *EAS) request(ctx context.Context, m *store.Mailbox, r *rand.Rand) (more bool, err error) {
	round, err := delta.Begin(ctx, m, c.Device, [16]byte{byte(c.Folder)}, c.Folder, c.key)
	if err != nil {
		return false, err
	}
	if c.key == 0 {
		c.copy = map[store.OID]string{}
	}
	mine := map[store.OID]string{}
	if c.pending != "" && c.key != 0 {
		s, err := c.add(ctx, m, round)
		if err != nil {
			return false, err
		}
		if s != nil {
			mine[s.OID] = shows(s)
		}
	}
	cmds, more, err := round.Commands(ctx, 1+r.IntN(5), c.cutoff)
	if err != nil {
		return false, err
	}
	key, err := round.Commit(ctx)
	if err != nil {
		return false, err
	}
	if r.IntN(4) == 0 && c.key != 0 {
		c.Lost++
		return true, nil // the same request again
	}
	if c.key != 0 {
		c.pending = ""
	}
	for o, s := range mine {
		c.copy[o] = s
	}
	if err := c.apply(cmds); err != nil {
		return false, err
	}
	first := c.key == 0
	c.key = key
	return more || first, nil
}

// add makes the device's own item, unless an earlier try of the request did.
func (c *EAS) add(ctx context.Context, m *store.Mailbox, round *delta.Round) (s *store.State, err error) {
	if o, again := round.Repeated(c.pending); again {
		err := Look(ctx, m, func(v *store.View) error {
			it, err := v.Item(ctx, o)
			if err == nil && it.State.Place.Folder == c.Folder && it.State.Place.Space == store.Normal {
				s = &it.State
			}
			if model.IsKind(err, model.KindNotFound) {
				return nil // somebody has deleted it meanwhile
			}
			return err
		})
		if s != nil {
			round.Changed(s)
		}
		return s, err
	}
	var p mapi.Properties
	p.Set(mapi.TagSubject, c.pending)
	if s, err = m.Create(ctx, c.Folder, &store.NewItem{Props: p, Time: c.Clock()}); err == nil {
		round.Added(c.pending, s)
	}
	return s, err
}

func (c *EAS) apply(cmds []delta.Command) error {
	for _, cmd := range cmds {
		switch _, has := c.copy[cmd.OID]; {
		case cmd.Kind == delta.Add && has:
			return fmt.Errorf("%s: item %d is added twice", c.Name(), cmd.OID)
		case cmd.Kind != delta.Add && !has:
			return fmt.Errorf("%s: command %d for item %d, which the device does not have", c.Name(), cmd.Kind, cmd.OID)
		case cmd.Kind == delta.Delete || cmd.Kind == delta.SoftDelete:
			delete(c.copy, cmd.OID)
		default:
			c.copy[cmd.OID] = shows(cmd.State)
		}
	}
	return nil
}

// Compare implements Cache.
func (c *EAS) Compare(ctx context.Context, m *store.Mailbox) error {
	want := map[store.OID]string{}
	err := Look(ctx, m, func(v *store.View) error {
		states, err := States(ctx, v, c.Folder, store.Normal)
		for i := range states {
			if s := &states[i]; !s.Time.Before(c.cutoff) {
				want[s.OID] = shows(s)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return same(c.Name(), c.copy, want)
}
