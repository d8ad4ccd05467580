package delta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/store"
)

var ctx = context.Background()

type fixture struct {
	t   *testing.T
	m   *store.Mailbox
	now time.Time
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(ctx, memory.New(memory.Options{}), store.Options{GUID: model.NewGUID(), Name: "s", Clock: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if f.m, err = db.CreateMailbox(ctx, model.NewGUID(), "a"); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFolders(t *testing.T) {
	f := newFixture(t)
	tok, err := Now(ctx, f.m, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.m.CreateFolder(ctx, store.FolderInbox, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	step := func(want string) {
		t.Helper()
		got, err := Folders(ctx, f.m, tok, 0)
		if err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprint(got.Created, got.Updated, got.Destroyed, got.OnlyCounts); s != want {
			t.Errorf("%s, want %s", s, want)
		}
		tok = got.Token
	}
	step(fmt.Sprintf("[%d] [] [] false", a.ID))
	if _, err := f.m.Append(ctx, a.ID, &store.NewItem{}); err != nil {
		t.Fatal(err)
	}
	step(fmt.Sprintf("[] [%d] [] true", a.ID))
	if err := f.m.SetSubscribed(ctx, a.ID, true); err != nil {
		t.Fatal(err)
	}
	step(fmt.Sprintf("[] [%d] [] false", a.ID))
	if err := f.m.DeleteFolder(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	step(fmt.Sprintf("[] [%d] [%d] true", store.FolderDeletedItems, a.ID))
	step("[] [] [] true")
	if _, err := CollectionChanges(ctx, f.m, Token{Incarnation: tok.Incarnation, Folder: a.ID}, 0); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("a folder that is gone: %v", err)
	}
}

func TestTokens(t *testing.T) {
	for _, s := range []string{"", "!", "AA", Token{1, 2, 3, 4}.String() + "A", Token{1, 2, 3, 4}.String()[2:]} {
		if tok, err := Parse(s); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%q is %+v, %v", s, tok, err)
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add(Token{1, 2, 3, 4}.String())
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(tok.String()); err != nil || again != tok {
			t.Errorf("%+v becomes %+v, %v", tok, again, err)
		}
	})
}

func FuzzDeviceState(f *testing.F) {
	s := deviceState{1, 2, 3, map[store.OID]bool{5: true, 9: true}, map[string]uint64{"a": 5}}
	f.Add(s.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeDevice(b)
		if err != nil {
			if !errors.As(err, new(*model.Error)) {
				t.Error(err)
			}
			return
		}
		if again, err := decodeDevice(s.encode()); err != nil || !maps.Equal(again.have, s.have) || !maps.Equal(again.adds, s.adds) {
			t.Errorf("%+v becomes %+v, %v", s, again, err)
		}
	})
}
