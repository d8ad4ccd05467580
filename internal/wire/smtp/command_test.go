package smtp

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/model"
)

func TestReadCommand(t *testing.T) {
	in := "ehlo  client.test \r\nNOOP\n\r\nnul\x00l\r\n" + "MAIL " + strings.Repeat("x", 3000) + "\r\n" +
		"AUTH " + strings.Repeat("y", 3000) + "\r\n" + "X " + strings.Repeat("z", 40000) + "\r\nQUIT\r\nhalf"
	br := bufio.NewReaderSize(strings.NewReader(in), 4096)
	for i, want := range []struct {
		c    Command
		code int
	}{
		{Command{"EHLO", "client.test"}, 0}, {Command{"NOOP", ""}, 0}, {Command{}, 0}, {Command{}, 500},
		{Command{"MAIL", ""}, 500}, {Command{"AUTH", strings.Repeat("y", 3000)}, 0}, {Command{}, 500}, {Command{"QUIT", ""}, 0},
	} {
		c, err := ReadCommand(br)
		var r *Reply
		if errors.As(err, &r) != (want.code != 0) || r != nil && r.Code != want.code || c != want.c {
			t.Errorf("%d: %.40q, %v; want %.40q", i, c, err, want.c)
		}
	}
	if _, err := ReadCommand(br); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a line: %v", err)
	}
	if _, err := ReadCommand(br); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
	endless := bufio.NewReaderSize(io.LimitReader(zeros{}, 1<<30), 4096)
	if _, err := ReadCommand(endless); !errors.Is(err, ErrEndless) {
		t.Errorf("endless: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestParseMail(t *testing.T) {
	addr := func(l, d string) model.Address { return model.Address{Local: l, Domain: d} }
	str := func(s string) *string { return &s }
	for _, c := range []struct {
		in   string
		want Mail
	}{
		{"FROM:<>", Mail{Size: -1}},
		{"from: <a@b.test>", Mail{From: addr("a", "b.test"), Size: -1}},
		{"FROM:a@b.test SIZE=5", Mail{From: addr("a", "b.test"), Size: 5}},
		{"FROM:<@x,@y:a@b.test>", Mail{From: addr("a", "b.test"), Size: -1}},
		{`FROM:<"a> b"@b.test> BODY=8bitmime SMTPUTF8`, Mail{From: addr("a> b", "b.test"), Size: -1, Body: "8BITMIME", SMTPUTF8: true}},
		{"FROM:<> RET=hdrs ENVID=Q+2B1 AUTH=<> XEXCH=1 Y", Mail{Size: -1, Ret: "HDRS", EnvID: "Q+1", Auth: str(""),
			Other: []Param{{"XEXCH", "1", true}, {"Y", "", false}}}},
		{"FROM:<> AUTH=e+3Dmc2@x.test", Mail{Size: -1, Auth: str("e=mc2@x.test")}},
	} {
		got, err := ParseMail(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		} else if d := cmp.Diff(&c.want, got); d != "" {
			t.Errorf("%q:\n%s", c.in, d)
		}
	}
	for _, in := range []string{"", "FROM", "FROM:", "TO:<a@b.test>", "FROM:<a@b.test", "FROM:<a@b.test>x", "FROM:<a b@c>",
		"FROM:<> SIZE=-1", "FROM:<> SIZE=", "FROM:<> SIZE=9999999999999999999", "FROM:<> BODY=x", "FROM:<> RET=x", "FROM:<> SMTPUTF8=1",
		"FROM:<> ENVID=+0D+0A", "FROM:<> SIZE=1 SIZE=2", "FROM:<> =1", "FROM:<>" + strings.Repeat(" ", 3) + "A_B",
		"FROM:<>" + strings.Repeat(" a1", 1) + many(40)} {
		_, err := ParseMail(in)
		var r *Reply
		if !errors.As(err, &r) || !r.Permanent() || r.Enhanced == "" {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" K" + strings.Repeat("x", i))
	}
	return b.String()
}

func TestParseRcpt(t *testing.T) {
	r, err := ParseRcpt("TO:<bob@b.test> NOTIFY=success,DELAY ORCPT=RFC822;b+2Bob@b.test")
	if err != nil || r.To.String() != "bob@b.test" || r.Notify != NotifySuccess|NotifyDelay || r.ORcptType != "rfc822" || r.ORcpt != "b+ob@b.test" {
		t.Errorf("%+v, %v", r, err)
	}
	if r.Notify.String() != "SUCCESS,DELAY" {
		t.Errorf("Notify = %s", r.Notify)
	}
	if r, err := ParseRcpt("TO:<Postmaster>"); err != nil || r.To.Local != "Postmaster" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, in := range []string{"TO:<>", "TO:<bob>", "TO:<a@b.test> NOTIFY=", "TO:<a@b.test> NOTIFY=NEVER,FAILURE", "TO:<a@b.test> NOTIFY=x",
		"TO:<a@b.test> ORCPT=x", "TO:<a@b.test> ORCPT=;x"} {
		if r, err := ParseRcpt(in); err == nil {
			t.Errorf("%q accepted: %+v", in, r)
		}
	}
}

func TestParseBDATAndAuth(t *testing.T) {
	for in, want := range map[string]BDAT{"0": {0, false}, "12 LAST": {12, true}, "12 last": {12, true}} {
		if got, err := ParseBDAT(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "+1", "1 x", "1 LAST x", "0x10"} {
		if got, err := ParseBDAT(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	m, ir, has, err := ParseAuth("plain =")
	if m != "PLAIN" || ir != "=" || !has || err != nil {
		t.Error(m, ir, has, err)
	}
	if m, _, has, err = ParseAuth("Login"); m != "LOGIN" || has || err != nil {
		t.Error(m, has, err)
	}
	if _, _, _, err = ParseAuth("PLAIN a b"); err == nil {
		t.Error("two responses accepted")
	}
}

func FuzzReadCommand(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.test> SIZE=1\r\n"))
	f.Add([]byte("\n\r\n\r\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		br := bufio.NewReaderSize(strings.NewReader(string(b)), 4096)
		for range len(b) + 2 {
			c, err := ReadCommand(br)
			var r *Reply
			if err != nil && !errors.As(err, &r) {
				return
			}
			if strings.ContainsAny(c.Verb+c.Args, "\r\n\x00") {
				t.Fatalf("control characters in %+v", c)
			}
		}
		t.Fatal("does not end")
	})
}

func FuzzPath(f *testing.F) {
	f.Add("FROM:<a@b.test> SIZE=1 BODY=8BITMIME RET=FULL ENVID=x AUTH=<> SMTPUTF8")
	f.Add(`FROM:<"a\"> b"@b.test> X=1`)
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := ParseMail(s); err == nil {
			c := &Client{ext: Extensions{"SIZE": "", "8BITMIME": "", "DSN": "", "AUTH": ""}}
			e := &Envelope{From: m.From, Size: m.Size, Body: m.Body, UTF8: m.SMTPUTF8, Ret: m.Ret, EnvID: m.EnvID, Auth: m.Auth, Extra: m.Other}
			line := c.mailLine(e)
			again, err := ParseMail(strings.TrimPrefix(line, "MAIL "))
			if err != nil || !cmp.Equal(m, again) {
				t.Fatalf("%q -> %q: %v\n%s", s, line, err, cmp.Diff(m, again))
			}
		}
		if r, err := ParseRcpt("TO" + strings.TrimPrefix(s, "FROM")); err == nil && r.To.Domain != "" {
			c := &Client{ext: Extensions{"DSN": ""}}
			again, err := ParseRcpt(strings.TrimPrefix(c.rcptLine(r), "RCPT "))
			if err != nil || !cmp.Equal(r, again) {
				t.Fatalf("%q -> %q: %v", s, c.rcptLine(r), err)
			}
		}
	})
}
