package imap

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"rialto/internal/attendant"
	"rialto/internal/kv/pebble"
	"rialto/internal/protocol/transcript"
	"rialto/internal/service"
	"rialto/internal/store"
	"rialto/internal/store/fulltext"
)

// randomMail is a message of several shapes with words that hide in one another.
func randomMail(r *rand.Rand) string {
	words := strings.Fields("report Reporting the then other mother STRASSE straße Grüße İstanbul 5\u212a kilo abc123 20261122103000 foo.bar 漢字検索 e-mail " +
		"dGhpcyBpcyBh9Kx2Zm9vYmFy7Qw1ZXJ0eXVpb3A8 bob@contoso.test a I x1")
	text := func(n int) string {
		var b strings.Builder
		for range 1 + r.IntN(n) {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteString([]string{" ", " ", "", "-", ", "}[r.IntN(5)])
		}
		return b.String()
	}
	head := fmt.Sprintf("From: \"%s\" <%s@contoso.test>\r\nTo: group: a@x.test, =?utf-8?q?J=C3=BCrgen?= <j@y.test>;\r\nSubject: %s\r\nX-Odd: %s\r\n",
		[]string{"Bob", "Mother", "report"}[r.IntN(3)], []string{"bob", "abc123"}[r.IntN(2)], text(4), text(3))
	switch r.IntN(5) {
	case 0:
		return head + "Content-Type: text/html; charset=utf-8\r\n\r\n<p>" + text(5) + "<b>" + text(5) + "</b><script>report</script>&amp;" + text(3)
	case 1:
		return head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
			"Gr=FC=DFe =\r\nmo=\r\nther\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner report\r\n\r\n" + text(6) +
			"\r\n--b\r\nContent-Type: text/plain; name=\"other.txt\"\r\nContent-Disposition: attachment\r\n\r\n" + text(4) + "\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\nreport\r\n--b--\r\n"
	case 2:
		return head + "\r\n" + strings.Repeat(text(8)+"\r\n", 200)
	case 3:
		return head + "Content-Type: multipart/mixed\r\n\r\n" + text(6) // no boundary
	}
	return head + "\r\n" + text(10)
}

func randomKey(r *rand.Rand, depth int) string {
	texts := []string{"report", "other", "the", "moth", "ort", "STRASSE", "straße", "istanbul", "İstanbul", "5k", "kilo", "abc1", "123", "611221", "foo.bar", "漢字", "字検", "字", "e-mail",
		"cGlz", "Zm9v", "x1", "a", "bob@contoso", "Grüße", "inner report", "report the", "absent", "-", "Subject: rep", "mother", "Jürgen", "", "script", "x-odd"}
	text := texts[r.IntN(len(texts))]
	q := "{" + fmt.Sprint(len(text)) + "+}\r\n" + text
	switch n := r.IntN(14); {
	case n < 3:
		return "BODY " + q
	case n < 6:
		return "TEXT " + q
	case n == 6:
		return "SUBJECT " + q
	case n == 7:
		return "FROM " + q
	case n == 8:
		return "TO " + q
	case n == 9:
		return "HEADER X-Odd " + q
	case n == 10:
		return "HEADER Message-ID " + q
	case n == 11 && depth < 3:
		return "NOT " + randomKey(r, depth+1)
	case n == 12 && depth < 3:
		return "OR " + randomKey(r, depth+1) + " " + randomKey(r, depth+1)
	case depth < 3:
		return "(" + randomKey(r, depth+1) + " UNSEEN " + randomKey(r, depth+1) + ")"
	}
	return "SEEN"
}

// searcher asks for the answer to a search key.
func searcher(t *testing.T, dial func() net.Conn) func(key string) string {
	c := dial()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	br := bufio.NewReader(c)
	until := func(prefix string) (all string) {
		for {
			l, err := br.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if all += l; strings.HasPrefix(l, prefix) {
				return all
			}
		}
	}
	until("* OK")
	ask := func(cmd string) string {
		if _, err := io.WriteString(c, "a "+cmd+"\r\n"); err != nil {
			t.Fatal(err)
		}
		out := until("a ")
		if !strings.Contains(out, "a OK") {
			t.Fatalf("%s: %s", cmd, out)
		}
		return out
	}
	ask("LOGIN alice pw")
	ask("SELECT INBOX")
	return func(key string) string { return ask("UID SEARCH CHARSET UTF-8 " + key) }
}

// SEARCH with an index, whole, partial or none, answers what reading every
// message does.
func TestSearchWithIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	site := transcript.NewSite(t, nil, "alice")
	indexes := fulltext.New(fulltext.Options{Extract: attendant.ItemText(), StepItems: 20})
	head := func(x TextIndex) func() net.Conn {
		srv := &Server{Auth: site.Auth, Stores: site, Index: x}
		_, dial := site.Serve("IMAP4", srv.Handle, service.Limits{})
		return dial
	}
	scan, find := head(nil), head(indexes)
	for range 60 {
		site.Deliver("alice", "Received: from report by mother\r\n", randomMail(r))
	}
	if _, err := site.Box("alice").SetFlags(t.Context(), store.FolderInbox, store.UIDSet{{From: 1, To: 20}}, store.FlagChange{Set: store.Read}); err != nil {
		t.Fatal(err)
	}
	if _, err := site.Box("alice").Append(t.Context(), store.FolderInbox, &store.NewItem{}); err != nil { // not MIME
		t.Fatal(err)
	}
	some := 0
	for step := range 5 { // the index grows
		one, two := searcher(t, scan), searcher(t, find)
		for range 60 {
			key := randomKey(r, 0)
			want, got := one(key), two(key)
			if want != got {
				t.Fatalf("step %d: SEARCH %s\nscan:  %sindex: %s", step, key, want, got)
			}
			if strings.Contains(want, "SEARCH ") && strings.Count(want, " ") > 4 {
				some++
			}
		}
		if _, err := indexes.Feed(t.Context(), site.Box("alice")); err != nil {
			t.Fatal(err)
		}
	}
	if some == 0 {
		t.Error("nothing was ever found")
	}
	if st, err := indexes.Status(t.Context(), site.Box("alice")); err != nil || st.Items != 61 {
		t.Errorf("status %+v, %v", st, err)
	}
}

// BenchmarkSearchIndexed is SEARCH of the bodies of 10,000 messages of 4 KB with
// the index.
func BenchmarkSearchIndexed(b *testing.B) {
	db, err := pebble.Open(pebble.Options{Dir: b.TempDir(), Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	site := transcript.NewSite(b, db, "alice")
	indexes := fulltext.New(fulltext.Options{Extract: attendant.ItemText()})
	srv := &Server{Auth: site.Auth, Stores: site, Index: indexes}
	_, dial := site.Serve("IMAP4", srv.Handle, service.Limits{})
	r := rand.New(rand.NewPCG(1, 1))
	var items []*store.NewItem
	for i := range benchMessages {
		var body strings.Builder
		for body.Len() < 3800 {
			fmt.Fprintf(&body, "w%c%c%c ", 'a'+r.IntN(26), 'a'+r.IntN(26), 'a'+r.IntN(26))
		}
		if i%2000 == 0 {
			body.WriteString("zeppelin flights")
		}
		items = append(items, site.Item(transcript.Mail(fmt.Sprintf("Report number %d of the week", i), "Bob <bob@contoso.test>", body.String())))
		if len(items) == 200 {
			if _, err := site.Box("alice").Append(b.Context(), store.FolderInbox, items...); err != nil {
				b.Fatal(err)
			}
			items = nil
		}
	}
	before := cpu(b)
	for {
		p, err := indexes.Feed(b.Context(), site.Box("alice"))
		if err != nil {
			b.Fatal(err)
		}
		if !p.More {
			break
		}
	}
	b.Logf("feeding: %.0f µs of CPU a message", float64(cpu(b)-before)/1000/benchMessages)
	c := dial()
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	raw := &rawClient{b, c, bufio.NewReaderSize(c, 64<<10)}
	raw.br.ReadString('\n')
	raw.run("LOGIN alice pw")
	raw.run("SELECT INBOX")
	for _, cmd := range []string{"SEARCH BODY zeppelin", "SEARCH BODY nowhere", `SEARCH BODY "zeppelin flights"`, "SEARCH TEXT zeppelin", "SEARCH SUBJECT 9999"} {
		b.Run(strings.ReplaceAll(cmd, " ", "_"), func(b *testing.B) {
			raw.b = b
			for b.Loop() {
				raw.run(cmd)
			}
		})
	}
}
