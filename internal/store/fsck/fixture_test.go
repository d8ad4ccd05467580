package fsck_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/content"
)

var ctx = context.Background()

// fixture is a database with its mailboxes.
type fixture struct {
	t        *testing.T
	db       *store.Database
	segments bool // the engine has them
}

func newFixture(t *testing.T) *fixture {
	return fixtureOn(t, memory.New(memory.Options{MinFree: 1 << 20}), true)
}

func fixtureOn(t *testing.T, e kv.DB, segments bool) *fixture {
	t.Helper()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	db, err := store.Open(ctx, e, store.Options{GUID: model.NewGUID(), Name: "Mailbox Store", Clock: func() time.Time { return now },
		Content: content.Options{InlineMax: 2000, SegmentSize: 100000, Grace: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &fixture{t: t, db: db, segments: segments}
}

// onServer returns a maker of fixtures on a server, each in a schema of its own.
func onServer(t *testing.T) func(*testing.T) *fixture {
	t.Helper()
	server, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	n := 0
	return func(t *testing.T) *fixture {
		n++
		e, err := postgres.Open(ctx, postgres.Options{URL: server.URL(), Schema: fmt.Sprint("checked_", n), Once: store.Once})
		if err != nil {
			t.Fatal(err)
		}
		return fixtureOn(t, e, false)
	}
}

func (f *fixture) mailbox(name string) *store.Mailbox {
	f.t.Helper()
	m, err := f.db.CreateMailbox(ctx, model.NewGUID(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

// item stages a message whose bytes are body.
func (f *fixture) item(body string) *store.NewItem {
	f.t.Helper()
	w := f.db.NewContent(ctx)
	if _, err := io.WriteString(w, body); err != nil {
		f.t.Fatal(err)
	}
	st, err := w.Finish(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(st.Release)
	var p mapi.Properties
	p.Set(mapi.TagSubject, "subject of "+body[:min(10, len(body))])
	p.Set(mapi.TagInternetMessageID, "<"+body[:min(20, len(body))]+"@x>")
	p.Set(mapi.TagConversationID, bytes.Repeat([]byte{1}, 16))
	return &store.NewItem{Content: st, Structure: []byte("structure"), Summary: store.Summary{Props: p, Envelope: []byte("env")}}
}

func (f *fixture) append(m *store.Mailbox, folder store.FolderID, bodies ...string) []*store.State {
	f.t.Helper()
	var items []*store.NewItem
	for _, b := range bodies {
		items = append(items, f.item(b))
	}
	st, err := m.Append(ctx, folder, items...)
	if err != nil {
		f.t.Fatal(err)
	}
	return st
}

// furnished is a mailbox that has something in every space.
func furnished(t *testing.T, f *fixture) *store.Mailbox {
	t.Helper()
	m := f.mailbox("Alice")
	sub, err := m.CreateFolder(ctx, store.FolderInbox, "Projects", "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		f.append(m, store.FolderInbox, fmt.Sprintf("%02d %s", i, strings.Repeat("long text ", 100*i)))
	}
	inner := f.item("the message inside")
	n := f.item("with attachments")
	n.Attachments = []store.Attachment{{Content: f.item(strings.Repeat("attached ", 1000)).Content}, {Embedded: inner}}
	n.Flags |= store.HasAttachments
	if _, err := m.Append(ctx, sub.ID, n); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PropertyIDs(ctx, []mapi.PropertyName{{Set: model.GUID{7}, Name: "color"}}); err != nil {
		t.Fatal(err)
	}
	steps := []error{
		m.SetReceiveFolder(ctx, "ipm.fax", sub.ID),
		m.SetPermissions(ctx, sub.ID, []store.Permission{{Rights: store.RoleReviewer}}),
		m.SetFolderProps(ctx, sub.ID, mapi.Properties{{Tag: mapi.TagComment, Value: "of a folder"}}),
	}
	_, err = m.Delete(ctx, store.FolderInbox, store.UIDs(3, 4))
	steps = append(steps, err)
	_, err = m.Move(ctx, store.FolderInbox, store.UIDs(5, 6), sub.ID)
	if err := errors.Join(append(steps, err)...); err != nil {
		t.Fatal(err)
	}
	return m
}

func body(t *testing.T, m *store.Mailbox, row store.RowID) string {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	st, err := v.Streams(ctx, []store.RowID{row})
	if err != nil || st[0] == nil {
		t.Fatalf("stream of row %d: %v, %v", row, st, err)
	}
	b, err := v.Open(ctx, st[0])
	if err != nil {
		t.Fatal(err)
	}
	var sb strings.Builder
	if err := b.WriteRange(&sb, 0, b.Size()); err != nil {
		t.Fatal(err)
	}
	return sb.String()
}
