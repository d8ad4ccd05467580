package storetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// operate does something to a mailbox, as a session of it would.
func (w *world) operate(r *rand.Rand) {
	w.count.ops.Add(1)
	b := w.boxes[r.IntN(len(w.boxes))]
	m, err := w.mailbox(b)
	if err != nil {
		w.tolerate("open", err)
		return
	}
	f, to := w.folder(r), w.folder(r)
	lo := store.UID(r.IntN(60) + 1)
	set := store.UIDSet{{From: lo, To: lo + store.UID(r.IntN(4))}}
	what := ""
	switch n := r.IntN(20); {
	case n < 5:
		w.deliverNew(r, b.at)
	case n < 7:
		what, err = "create", w.create(m, f, r)
	case n < 10:
		what = "flags"
		_, err = m.SetFlags(ctx, f, set, store.FlagChange{Set: store.Flags(r.IntN(64)), Clear: store.Flags(r.IntN(64)), SetKeywords: []string{fmt.Sprint("k", r.IntN(3))}})
	case n == 10:
		what = "move"
		_, err = m.Move(ctx, f, set, to)
	case n == 11:
		what = "delete"
		_, err = m.Delete(ctx, f, set)
	case n == 12:
		what = "recover"
		var rows []store.RowID
		err = Look(ctx, m, func(v *store.View) error {
			return v.Recoverable(ctx, f, func(s *store.State) bool { rows = append(rows, s.Row); return len(rows) < 3 })
		})
		if err == nil {
			_, err = m.Recover(ctx, f, rows)
		}
	case n == 13:
		what = "folders"
		sub, e := m.CreateFolder(ctx, store.FolderInbox, fmt.Sprint("f", r.IntN(5)), "")
		if err = e; e == nil && r.IntN(2) == 0 {
			if _, err = m.Move(ctx, f, set, sub.ID); err == nil {
				err = m.DeleteFolder(ctx, sub.ID)
			}
		}
	default:
		what, err = w.onItem(m, f, to, r)
	}
	w.ledger.note("", "%s in %s, folder %d, %v: %v", what, m.GUID(), f, set, err)
	w.tolerate(what, err)
}

func (w *world) folder(r *rand.Rand) store.FolderID {
	return []store.FolderID{store.FolderInbox, store.FolderDrafts}[r.IntN(2)]
}

// onItem does something to one item.
func (w *world) onItem(m *store.Mailbox, f, to store.FolderID, r *rand.Rand) (string, error) {
	o, word, err := w.any(m, f, r)
	if err != nil || o == 0 {
		return "look", err
	}
	k := r.IntN(6)
	w.ledger.note(word, "operation %d on item %d in %s/%d begins", k, o, m.GUID(), f)
	switch k {
	case 0:
		w.ledger.add(word, 0, 1)
		c, err := m.CopyItems(ctx, f, []store.OID{o}, to)
		w.ledger.note(word, "copied to %+v %v", c, err)
		if err == nil && len(c) == 1 {
			w.noted(func() { w.ledger.add(word, 1, 0) })
		}
		return "copy", err
	case 1:
		c, err := m.MoveItems(ctx, f, []store.OID{o}, to)
		w.ledger.note(word, "moved to %+v %v", c, err)
		return "move", err
	case 2:
		w.ledger.add(word, -1, 0)
		n, err := m.DeleteItems(ctx, f, []store.OID{o}, true)
		w.ledger.note(word, "%d deleted %v", n, err)
		if err == nil && n == 0 {
			w.ledger.add(word, 1, 0) // somebody else was first
		}
		return "hard delete", err
	case 3:
		// The copy comes first: for a moment there are two.
		dst, err := w.mailbox(w.boxes[r.IntN(len(w.boxes))])
		if err != nil {
			return "open", err
		}
		w.ledger.add(word, 0, 1)
		c, err := m.MoveTo(ctx, f, []store.OID{o}, dst, to)
		w.ledger.note(word, "moved to %s: %+v %v", dst.GUID(), c, err)
		return "move to another mailbox", err
	case 4:
		_, err = m.Save(ctx, o, &store.Edit{Set: mapi.Properties{{Tag: mapi.TagComment, Value: fmt.Sprint(r.Uint64())}}})
		return "save", err
	}
	_, err = m.Save(ctx, o, &store.Edit{Set: subject(word + fmt.Sprint(" edit ", r.IntN(1000))), Derived: &store.NewItem{Props: subject("derived")}})
	return "edit", err
}

// any picks an item of a folder and tells its token.
func (w *world) any(m *store.Mailbox, f store.FolderID, r *rand.Rand) (o store.OID, word string, err error) {
	n := 0
	err = Look(ctx, m, func(v *store.View) error {
		return v.Items(ctx, store.Place{Folder: f}, store.WantState|store.WantSummary, func(it *store.ItemRow) bool {
			if n++; r.IntN(n) == 0 {
				raw, err := mapi.Lookup(it.Summary, mapi.TagSubject)
				if err == nil && raw.Found() {
					o, word = it.State.OID, tokenOf(raw.Value().(string))
				}
			}
			return true
		})
	})
	return o, word, err
}

func (w *world) token() string { return fmt.Sprint("token", w.next.Add(1)) }

func (w *world) create(m *store.Mailbox, f store.FolderID, r *rand.Rand) error {
	word := w.token()
	w.ledger.add(word, 0, 1)
	p := subject(word)
	p.Set(mapi.TagBody, strings.Repeat("text ", r.IntN(5000)))
	n := &store.NewItem{Props: p, Associated: r.IntN(5) == 0, Time: w.now()}
	if r.IntN(3) == 0 {
		n.Foreign.Href = word + ".ics"
	}
	if r.IntN(3) == 0 {
		n.Attachments = []store.Attachment{{Props: mapi.Properties{{Tag: mapi.TagAttachDataBinary, Value: make([]byte, r.IntN(20000))}}}, {Embedded: &store.NewItem{Props: p}}}
	}
	s, err := m.Create(ctx, f, n)
	if err == nil {
		w.noted(func() {
			w.ledger.add(word, 1, 0)
			w.ledger.note(word, "created in %s as %+v", m.GUID(), *s)
		})
	}
	return err
}

// deliverNew sends a message to mailboxes of a database.
func (w *world) deliverNew(r *rand.Rand, db int) {
	d := &delivery{token: w.token(), db: db, size: r.IntN(3) * r.IntN(20000)}
	for _, b := range w.boxes {
		if b.at == db && (len(d.to) == 0 || r.IntN(2) == 0) {
			d.to = append(d.to, b.guid)
		}
	}
	w.ledger.add(d.token, 0, len(d.to))
	if err := w.deliver(d); err != nil {
		w.ledger.note(d.token, "delivery to %v of database %d failed: %v", d.to, d.db, err)
		w.tolerate("deliver", err)
		w.mu.Lock()
		w.pending = append(w.pending, d)
		w.mu.Unlock()
	}
}

func (w *world) deliver(d *delivery) error {
	db := w.dbs[d.db]
	c := db.NewContent(ctx)
	if _, err := io.WriteString(c, "Subject: "+d.token+"\r\n\r\n"+strings.Repeat("line\r\n", d.size/6)); err != nil {
		c.Abort()
		return err
	}
	st, err := c.Finish(ctx)
	if err != nil {
		return err
	}
	defer st.Release()
	dv := &store.Delivery{QueueID: d.token, Item: store.NewItem{Content: st, Structure: []byte("s"), Summary: store.Summary{Props: subject(d.token)}, Time: w.now()}}
	for _, g := range d.to {
		dv.To = append(dv.To, store.DeliverTo{Mailbox: g, Key: g.String()})
	}
	res, err := db.Deliver(ctx, dv)
	if err != nil {
		return err
	}
	for _, x := range res {
		if x.Err != nil {
			return x.Err
		}
	}
	w.noted(func() {
		w.ledger.add(d.token, len(res), 0)
		w.ledger.note(d.token, "delivered to %v of database %d: %+v", d.to, d.db, res)
	})
	return nil
}

// pause does what is done one at a time, then compares copies.
func (w *world) pause(n int) {
	b := w.boxes[w.rng.IntN(len(w.boxes))]
	m, err := w.mailbox(b)
	if err != nil {
		w.t.Fatal(err)
	}
	switch k := w.rng.IntN(14); {
	case k == 0:
		w.purge(b)
	case k == 1:
		_, err = m.Horizon(ctx, hours(w.rng.IntN(100)))
	case k == 2:
		_, err = w.dbs[b.at].Collect(ctx)
	case k == 3:
		w.moveBox(b)
	case k == 4 && w.rng.IntN(4) == 0:
		w.count.incarnations++
		err = m.NewIncarnation(ctx)
	case k >= 5 && k < 9:
		w.restore()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.intact()
	for _, b := range w.boxes {
		w.compare(b)
	}
	if n%25 == 24 {
		w.verify()
	}
}

// compare brings some of a mailbox's copies up to date and compares them; now
// and then an offline store uploads.
func (w *world) compare(b *box) {
	m, err := w.mailbox(b)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range b.caches {
		if w.rng.IntN(4) != 0 {
			continue
		}
		w.count.checks++
		if err := c.Sync(ctx, m, w.rng); err != nil {
			w.t.Errorf("%s: %v", c.Name(), err)
		} else if err := c.Compare(ctx, m); err != nil {
			w.t.Error(err)
		}
	}
	if w.rng.IntN(4) == 0 {
		o := b.osts[w.rng.IntN(len(b.osts))]
		if err := o.Sync(ctx, m, w.rng); err != nil {
			w.t.Error(err)
		}
		if err := w.upload(o, m); err != nil {
			w.t.Errorf("upload: %v", err)
		}
	}
}

// upload lets an offline store upload; what it deletes may be gone.
func (w *world) upload(o *OST, m *store.Mailbox) error {
	w.intact()
	err := o.Upload(ctx, m, w.rng)
	w.forget()
	return err
}

func (w *world) purge(b *box) {
	m, err := w.mailbox(b)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range []store.FolderID{store.FolderInbox, store.FolderDrafts, store.FolderDeletedItems} {
		if _, err := m.Purge(ctx, f, w.now().Add(-hours(w.rng.IntN(3)))); err != nil {
			w.t.Fatal(err)
		}
	}
	w.forget()
}

// intact checks that a pause has lost nothing so far: forget would hide it, and
// the next round would be blamed.
func (w *world) intact() {
	w.t.Helper()
	w.ledger.check(w.t, w.tokens(-1))
}

// forget takes what there is for what there should be.
func (w *world) forget() {
	have := w.tokens(-1)
	for token := range w.ledger.max {
		w.ledger.min[token], w.ledger.max[token] = have[token], have[token]
	}
}

// moveBox moves a mailbox to the other database.
func (w *world) moveBox(b *box) {
	to := 1 - b.at
	if _, err := w.dbs[b.at].MoveMailbox(ctx, b.guid, w.dbs[to], nil); err != nil {
		w.t.Fatal(err)
	}
	b.at = to
	if w.saved != nil { // the mailbox would be in both, or in none
		w.medium.(replacer).drop(w.saved.name)
		w.saved = nil
	}
	w.count.moves++
}

// restore takes a checkpoint of a database, or takes the database back to it.
func (w *world) restore() {
	r, ok := w.medium.(replacer)
	if !ok {
		return
	}
	if w.saved == nil {
		i := w.rng.IntN(2)
		name, err := r.checkpoint(ctx, i)
		if err != nil {
			w.t.Fatal(err)
		}
		w.saved = &checkpoint{i, name, w.tokens(i)}
		return
	}
	s := w.saved
	w.saved = nil
	if err := w.dbs[s.db].Close(); err != nil {
		w.t.Fatal(err)
	}
	r.replace(s.db, s.name)
	w.openOne(s.db)
	if err := same("restored database", w.tokens(s.db), s.count); err != nil {
		w.t.Error(err)
	}
	for _, b := range w.boxes {
		if b.at != s.db {
			continue
		}
		m, err := w.mailbox(b)
		if err == nil {
			err = m.NewIncarnation(ctx)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.count.restores++
	w.forget()
}

func (w *world) verify() {
	for _, b := range w.boxes {
		m, err := w.mailbox(b)
		if err != nil {
			w.t.Fatal(err)
		}
		v, err := m.Verify(ctx, true)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, p := range v.Problems {
			w.t.Error(p)
		}
	}
}

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }
