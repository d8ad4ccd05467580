package transport_test

import (
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/rules"
)

// TestAttachmentConditions: rules see the attachments of what comes as MIME, by
// the queue and past it.
func TestAttachmentConditions(t *testing.T) {
	m := newMachine(t, 0)
	m.boot()
	defer m.tr.Shutdown(t.Context())
	for _, name := range []string{"a0", "a1"} {
		m.rules(name, rules.Rule{Condition: &mapi.Sub{Table: mapi.TagMessageAttachments, R: &mapi.Content{Tag: mapi.TagAttachExtension, Match: mapi.FullString, Fold: mapi.IgnoreCase, Value: ".exe"}},
			Actions: []rules.Action{rules.Move{Folder: uint64(store.FolderJunk)}}})
	}
	file := func(name string) string {
		return "From: b0@a.test\r\nSubject: " + name + "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee\r\n--b\r\n" +
			"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=" + name + "\r\n\r\nx\r\n--b--\r\n"
	}
	for _, text := range []string{file("game.EXE"), file("plan.txt")} {
		m.submit("b0", "a0", text)
		// Two databases: it is queued.
		to := []model.Address{m.boxes["a0"].Primary, m.boxes["a1"].Primary}
		if _, err := m.tr.Submit(t.Context(), m.boxes["b0"].Primary, to, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	m.drain()
	for name, want := range map[string]int{"a0": 2, "a1": 1} {
		v, err := m.box(name).View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for _, id := range []store.FolderID{store.FolderInbox, store.FolderJunk} {
			got := 0
			if err := v.States(t.Context(), id, 1, ^store.UID(0), func(*store.State) bool { got++; return true }); err != nil || got != want {
				t.Errorf("%s: folder %d holds %d, want %d, %v", name, id, got, want, err)
			}
		}
	}
}
