package store

import (
	"fmt"
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// usable delivers to a mailbox and reads it back.
func usable(t *testing.T, f *fixture, m *Mailbox) {
	t.Helper()
	s := f.append(m, FolderSentItems, "still here")[0]
	if body(t, m, s.Row) != "still here" {
		t.Error("a mailbox does not work any more")
	}
	if _, err := m.DeleteItems(ctx, FolderSentItems, []OID{s.OID}, true); err != nil {
		t.Error(err)
	}
	verify(t, m)
}

// TestOddNames: every name is refused with a clear error, or is found again as
// it was given; two names that are the same to people who ignore case are one.
func TestOddNames(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	bad := []string{"", "\x00", "a\x00b", "a\nb", "\xff\xfe", "a\xc0\xafb", "\xed\xa0\x80", strings.Repeat("x", 2000), "\u007f", "tab\there"}
	for _, n := range bad {
		if _, err := m.CreateFolder(ctx, FolderInbox, n, ""); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%q: %v", n, err)
		}
	}
	good := []string{"/", ".", "..", "a/b", `a\b`, "*", "%", "INBOX", " ", "name ", " name", "e\u0301", "\u00e9x", "\u202egnirts", "\u200bzero", "👩‍👩‍👧‍👦", "\U0010ffff", "ﬁ",
		"ǅ", "İ", "ı", "ß", "名前", "שלום", strings.Repeat("名", 341), "a\u0300\u0301\u0302\u0303\u0304", "\ufeffbom", "con", "nul.txt", "'; DROP TABLE", "&-", "&AOk-"}
	for _, n := range good {
		fo, err := m.CreateFolder(ctx, FolderInbox, n, "")
		if err != nil {
			t.Errorf("%q: %v", n, err)
			continue
		}
		if err := m.look(func(v *View) error {
			found, err := v.Child(ctx, FolderInbox, n)
			if err == nil && (found.ID != fo.ID || found.Name != n) {
				t.Errorf("%q leads to %q", n, found.Name)
			}
			return err
		}); err != nil {
			t.Errorf("%q: %v", n, err)
		}
	}
	for _, n := range []string{"inbox", "SS", "FI", "E\u0301", "NUL.TXT"} {
		if _, err := m.CreateFolder(ctx, FolderInbox, n, ""); !model.IsKind(err, model.KindExists) {
			t.Errorf("%q beside its equal: %v", n, err)
		}
	}
	usable(t, f, m)
}

// TestLargestItem stores an item at the limits of count, and does everything to
// it that is done to others.
func TestLargestItem(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	n := &NewItem{Props: props(mapi.TagSubject, strings.Repeat("s", 5000))}
	for i := range maxRecipients {
		n.Recipients = append(n.Recipients, recipient(int32(1+i%3), fmt.Sprint("Recipient ", i), fmt.Sprint(i, "@example.test")))
	}
	for i := range maxAttachments {
		n.Attachments = append(n.Attachments, Attachment{Props: props(mapi.TagAttachLongFilename, fmt.Sprint("file ", i), mapi.TagAttachDataBinary, []byte(fmt.Sprint("data ", i)))})
	}
	n.Attachments[7].Embedded = nested(layout.MaxEmbedded - 1)
	s, err := m.Create(ctx, FolderDrafts, n)
	if err != nil {
		t.Fatal(err)
	}
	s, err = m.Save(ctx, s.OID, &Edit{Set: props(tagCategories, []string{"red"})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.CopyItems(ctx, FolderDrafts, []OID{s.OID}, FolderInbox); err != nil {
		t.Fatal(err)
	}
	if _, err := m.MoveItems(ctx, FolderDrafts, []OID{s.OID}, FolderInbox); err != nil {
		t.Fatal(err)
	}
	l := f.load(m, s.OID)
	if len(l.recips) != maxRecipients || len(l.attach) != maxAttachments || len(l.summary.Text(mapi.TagSubject)) != maxSummaryValue {
		t.Errorf("%d recipients, %d attachments", len(l.recips), len(l.attach))
	}
	if got := l.bag.Props.Text(mapi.TagSubject); len(got) != 5000 {
		t.Errorf("a subject of %d characters", len(got))
	}
	verify(t, m)
	if _, err := m.Delete(ctx, FolderInbox, UIDSet{{From: 1, To: 99}}); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Purge(ctx, FolderInbox, f.now.Add(1)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	usable(t, f, m)
	n.Recipients = append(n.Recipients, n.Recipients[0])
	if _, err := m.Create(ctx, FolderDrafts, n); !model.IsKind(err, model.KindTooLarge) {
		t.Errorf("a recipient too many: %v", err)
	}
}
