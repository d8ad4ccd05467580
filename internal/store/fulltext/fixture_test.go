package fulltext

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/content"
)

var ctx = context.Background()

// site is a mailbox whose items are texts: the first line is the subject, the
// rest the body. A body that begins with "loose" is indexed in part only.
type site struct {
	t    testing.TB
	mem  *memory.DB
	db   *store.Database
	box  *store.Mailbox
	x    *Indexes
	now  time.Time
	guid model.GUID
	step int // items of one feeding
}

func newSite(t testing.TB, engine kv.DB) *site {
	s := &site{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), guid: model.NewGUID(), step: 7}
	if engine == nil {
		s.mem = memory.New(memory.Options{MinFree: 1 << 20})
		engine = s.mem
	}
	s.open(engine)
	var err error
	if s.box, err = s.db.CreateMailbox(ctx, s.guid, "a"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	return s
}

func (s *site) open(engine kv.DB) {
	s.t.Helper()
	var err error
	s.db, err = store.Open(ctx, engine, store.Options{GUID: s.guid, Name: "Store", Clock: func() time.Time { return s.now },
		Content: content.Options{InlineMax: 4096, Grace: time.Minute}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.fresh()
}

// fresh forgets what is in memory of the index.
func (s *site) fresh() { s.x = New(Options{Extract: extract, StepItems: s.step}) }

func (s *site) crash() {
	s.t.Helper()
	s.mem.PowerCut()
	var err error
	if s.mem, err = s.mem.Reopen(); err != nil {
		s.t.Fatal(err)
	}
	s.open(s.mem)
	if s.box, err = s.db.Mailbox(ctx, s.guid); err != nil {
		s.t.Fatal(err)
	}
}

func extract(ctx context.Context, v *store.View, it Item, add func(Field, []byte)) (bool, error) {
	st, err := v.Streams(ctx, []store.RowID{it.Row})
	if err != nil || st[0] == nil {
		return false, err
	}
	b, err := v.Open(ctx, st[0])
	if err != nil {
		return false, err
	}
	var out strings.Builder
	if err := b.WriteRange(&out, 0, b.Size()); err != nil {
		return false, err
	}
	subject, body, _ := strings.Cut(out.String(), "\n")
	add(Subject, []byte(subject))
	if strings.HasPrefix(body, "loose") {
		add(Body, []byte("loose"))
		return false, nil
	}
	add(Body, []byte(body))
	return true, nil
}

func (s *site) append(folder store.FolderID, texts ...string) []*store.State {
	s.t.Helper()
	var items []*store.NewItem
	for _, text := range texts {
		w := s.db.NewContent(ctx)
		if _, err := io.WriteString(w, text); err != nil {
			s.t.Fatal(err)
		}
		st, err := w.Finish(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		defer st.Release()
		items = append(items, &store.NewItem{Content: st, Summary: store.Summary{Props: mapi.Properties{}}})
	}
	states, err := s.box.Append(ctx, folder, items...)
	if err != nil {
		s.t.Fatal(err)
	}
	return states
}

// feed does steps until there is no more to do.
func (s *site) feed() (items int) {
	s.t.Helper()
	for {
		p, err := s.x.Feed(ctx, s.box)
		if err != nil {
			s.t.Fatal(err)
		}
		if items += p.Items; !p.More {
			return items
		}
	}
}

// texts reads all normal items.
func (s *site) texts() map[store.OID][2]string {
	s.t.Helper()
	v, err := s.box.View(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[store.OID][2]string{}
	for id := range folders {
		err := v.States(ctx, id, 1, ^store.UID(0), func(st *store.State) bool {
			streams, err := v.Streams(ctx, []store.RowID{st.Row})
			if err != nil {
				s.t.Fatal(err)
			}
			b, err := v.Open(ctx, streams[0])
			if err != nil {
				s.t.Fatal(err)
			}
			var text strings.Builder
			if err := b.WriteRange(&text, 0, b.Size()); err != nil {
				s.t.Fatal(err)
			}
			subject, body, _ := strings.Cut(text.String(), "\n")
			out[st.OID] = [2]string{subject, body}
			return true
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// states returns row ids by OID.
func (s *site) rows() map[store.OID]store.RowID {
	s.t.Helper()
	v, err := s.box.View(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[store.OID]store.RowID{}
	for id := range folders {
		err := v.States(ctx, id, 1, ^store.UID(0), func(st *store.State) bool {
			out[st.OID] = st.Row
			return true
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// contains is what a search means: ASCII is compared as ASCII, other text in
// lower case.
func contains(text, needle string) bool {
	low := strings.ToLower(needle)
	for _, r := range low {
		if r >= utf8.RuneSelf {
			return strings.Contains(strings.ToLower(text), low)
		}
	}
	fold := func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	return strings.Contains(strings.Map(fold, text), low)
}

// vocabulary has words that hide in one another, and what is no word.
func vocabulary() []string {
	return strings.Fields("report Report reporting the then other mother STRASSE straße Grüße GRÜSSE İstanbul istanbul 5\u212a kilo ΟΔΟΣ οδος " +
		"abc123 123abc 20261122103000 12345678 a I x1 e-mail foo.bar Donaudampfschifffahrtsgesellschaftskapitaenswitwe 漢字検索 検索 漢 ภาษาไทย " +
		"dGhpcyBpcyBh9Kx2Zm9vYmFy7Qw1ZXJ0eXVpb3A8 https://x.test/u?upn=u001.aB3dE5fG7hI9jK1lM3 user@contoso.test naïve Ångström ÅNGSTRÖM x²y ½ ١٢٣")
}

func randomText(r *rand.Rand) string {
	words := vocabulary()
	var b strings.Builder
	for range 2 + r.IntN(12) {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteString([]string{" ", " ", ", ", "", "-", "\r\n"}[r.IntN(6)])
	}
	return b.String()
}

// randomNeedle is a piece of some text, in another case.
func randomNeedle(r *rand.Rand) string {
	t := []rune(randomText(r))
	i := r.IntN(len(t))
	s := string(t[i:min(len(t), i+1+r.IntN(12))])
	switch r.IntN(4) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToLower(s)
	case 2:
		return s + fmt.Sprint(r.IntN(3))
	}
	return s
}
