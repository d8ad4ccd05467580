package imap

import (
	"flag"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rialto/internal/protocol/transcript"
	"rialto/internal/service"
)

var update = flag.Bool("update", false, "write the servers' lines of the transcripts anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Mails of the fixture.
const trace = "Received: from a by b; Sun, 22 Nov 2026 12:00:00 +0000\r\n"

const multi = "From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>\r\nTo: Alice <alice@contoso.test>, team: a@b.test, c@d.test;\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from Bonn\r\nDate: Sat, 21 Nov 2026 23:00:00 -0300\r\nMessage-ID: <multi@x.test>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nBr=FCcke\r\nsecond line\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Description: within\r\n\r\n" +
	"From: inner@x.test\r\nSubject: inner\r\n\r\ninner text\r\n--b\r\nContent-Type: image/png; name=\"a b.png\"\r\nContent-ID: <i@x>\r\n" +
	"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.png\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"

// newSite returns a site with three messages in alice's Inbox, and a head.
func newSite(t testing.TB, set Settings) (*transcript.Site, func() net.Conn) {
	site := transcript.NewSite(t, nil, "alice", "bob")
	set.Host = "mail.contoso.test"
	if set.MaxMessage == 0 {
		set.MaxMessage = 1000
	}
	_, dial := serve(site, set)
	site.Deliver("alice", "", transcript.Mail("First", "Bob <bob@contoso.test>", "Hello Alice"))
	site.Deliver("alice", trace, multi)
	site.Deliver("alice", trace, transcript.Mail("Third", "carol@x.test", "The needle\r\n.dot"))
	return site, dial
}

func serve(site *transcript.Site, set Settings) (*service.Server, func() net.Conn) {
	srv := &Server{Auth: site.Auth, Stores: site, Config: func() Settings { return set }}
	return site.Serve("IMAP4", srv.Handle, service.Limits{})
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			_, dial := newSite(t, Settings{})
			transcript.Run(t, f, dial, *update)
		})
	}
}
