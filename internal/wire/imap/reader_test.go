package imap

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"rialto/internal/model"
)

// newTest returns a Reader on input that counts continuations.
func newTest(in string) (*Reader, *int) {
	n := new(int)
	r := NewReader(strings.NewReader(in))
	r.Continue = func() error { *n++; return nil }
	return r, n
}

// begin reads a command's start and fails the test if it cannot.
func begin(t *testing.T, r *Reader, tag, name string) {
	t.Helper()
	gotTag, gotName, err := r.Begin()
	if err != nil || gotTag != tag || gotName != name {
		t.Fatalf("Begin = %q, %q, %v; want %s %s", gotTag, gotName, err, tag, name)
	}
}

func TestBegin(t *testing.T) {
	r, _ := newTest("a1 noop\r\nA.2 Uid Fetch 1 FLAGS\n\r\n+ x\r\na\r\na b(\r\na LOGOUT\r\n")
	begin(t, r, "a1", "NOOP")
	if err := ReadNone(r); err != nil {
		t.Fatal(err)
	}
	begin(t, r, "A.2", "UID FETCH")
	if err := r.Skip(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Missing tag", "Missing tag", "Expected a space"} {
		_, _, err := r.Begin()
		if !IsSyntax(err) || SyntaxText(err) != want || r.Skip() != nil {
			t.Errorf("%d: %v, want %s", i, err, want)
		}
	}
	begin(t, r, "a", "B")
	if err := ReadNone(r); !IsSyntax(err) {
		t.Errorf("arguments of a command without any: %v", err)
	}
	r.Skip()
	begin(t, r, "a", "LOGOUT")
	if _, _, err := r.Begin(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	r, _ = newTest("a1 no")
	if _, _, err := r.Begin(); err != io.ErrUnexpectedEOF || r.Skip() == nil {
		t.Errorf("cut in a line: %v", err)
	}
}

func TestLiterals(t *testing.T) {
	r, asked := newTest("a LOGIN {5}\r\nal\r\nx {2+}\r\npw\r\nb NOOP\r\n")
	begin(t, r, "a", "LOGIN")
	l, err := ReadLogin(r)
	if err != nil || l != (Login{"al\r\nx", "pw"}) || *asked != 1 {
		t.Fatalf("%+v, %v, %d continuations", l, err, *asked)
	}
	if err := r.Skip(); err != nil {
		t.Fatal(err)
	}
	begin(t, r, "b", "NOOP")
}

// TestSkip checks that the next command is found after every kind of error.
func TestSkip(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	for _, c := range []struct{ name, in string }{
		{"plain", "a LOGIN (\r\n"},
		{"unread literal", "a LOGIN ( {7+}\r\nb NOOP\n {1+}\r\nx\r\n"},
		{"refused literal", "a LOGIN ( {7}\r\n"},
		{"large literal", "a LOGIN {102400}\r\n"},
		{"large literal without waiting", "a LOGIN {102400+}\r\n" + big + " x\r\n"},
		{"two large", "a LOGIN {102400+}\r\n" + big + " {102400+}\r\n" + big + "\r\n"},
		{"long line", "a LOGIN " + big + "\r\n"},
		{"long line with literal", "a LOGIN " + big + "{3+}\r\nx\r\n\r\n"},
		{"binary literal", "a LOGIN ~{3+}\r\n\x00\r\n\r\n"},
	} {
		r, _ := newTest(c.in + "b NOOP\r\n")
		if _, _, err := r.Begin(); err == nil {
			if l, err := ReadLogin(r); !IsSyntax(err) && c.name != "binary literal" {
				t.Errorf("%s: %+v, %v", c.name, l, err)
			}
		} else if !IsSyntax(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := r.Skip(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		begin(t, r, "b", "NOOP")
	}
	r, _ := newTest("a LOGIN {99999999999+}\r\nxxx")
	r.Begin()
	ReadLogin(r)
	if err := r.Skip(); !model.IsKind(err, model.KindTooLarge) {
		t.Errorf("a literal beyond all limits: %v", err)
	}
	if _, _, err := r.Begin(); err == nil {
		t.Error("the stream goes on after it")
	}
}

func TestAppend(t *testing.T) {
	body := strings.Repeat("y", 200<<10)
	r, asked := newTest("a APPEND \"S&AOQ-nt\" (\\Seen $Fwd) \" 7-Feb-1994 21:52:25 -0800\" {204800}\r\n" + body +
		" (\\Draft) {2+}\r\nhi UTF8 (~{3+}\r\nabc)\r\nb NOOP\r\n")
	begin(t, r, "a", "APPEND")
	a, err := ReadAppend(r)
	if err != nil || a.Mailbox != "Sänt" || strings.Join(a.Flags, " ") != `\Seen $Fwd` || a.Date.Unix() != 760686745 || a.Literal.Size != 204800 {
		t.Fatalf("%+v, %v", a, err)
	}
	var got []string
	for more := true; more; {
		src, err := r.Accept()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(src)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
		if more, err = a.Next(r); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 3 || got[0] != body || got[1] != "hi" || got[2] != "abc" || *asked != 1 || !a.UTF8 {
		t.Errorf("%d messages, %d continuations, %+v", len(got), *asked, a)
	}
	r.Skip()
	begin(t, r, "b", "NOOP")

	for name, in := range map[string]string{"half read": "a APPEND x {10+}\r\n0123456789\r\nb NOOP\r\n", "refused": "a APPEND x {10}\r\nb NOOP\r\n"} {
		r, _ := newTest(in)
		begin(t, r, "a", "APPEND")
		if _, err := ReadAppend(r); err != nil {
			t.Fatal(err)
		}
		if name == "half read" {
			src, _ := r.Accept()
			io.ReadFull(src, make([]byte, 4))
		}
		if err := r.Skip(); err != nil {
			t.Fatal(err)
		}
		begin(t, r, "b", "NOOP")
	}
}

func TestLine(t *testing.T) {
	r, _ := newTest("a IDLE\r\nDONE\r\n" + strings.Repeat("x", 100) + "\r\nb NOOP\r\n")
	begin(t, r, "a", "IDLE")
	if l, err := r.Line(10); err != nil || l != "DONE" {
		t.Errorf("%q, %v", l, err)
	}
	if _, err := r.Line(10); !IsSyntax(err) {
		t.Errorf("a long line: %v", err)
	}
	r.Skip()
	begin(t, r, "b", "NOOP")
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"a LOGIN {3+}\r\nabc d\r\n", "a FETCH 1:*,3 (BODY.PEEK[1.2.HEADER.FIELDS (A B)]<0.1> UID) (CHANGEDSINCE 1)\r\n",
		"a UID SEARCH RETURN (MIN) CHARSET UTF-8 OR (NOT SEEN 1) HEADER a {1}\r\nb\r\n", "a STORE $ (UNCHANGEDSINCE 1) +FLAGS.SILENT \\Seen x\r\n",
		"a LIST (SUBSCRIBED) \"\" (a% *) RETURN (STATUS (UNSEEN))\r\n", "a APPEND x () {2+}\r\nab {0+}\r\n\r\n",
		"a SELECT x (QRESYNC (1 2 3 (4 5)))\r\n", "a ID (\"a\" NIL)\r\n", "a ENABLE X\r\n", "a CREATE x (USE (\\Sent))\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		r.Continue = func() error { return nil }
		r.MaxLine, r.MaxLiteral, r.MaxDiscard = 2000, 1000, 5000
		for range 50 {
			_, name, err := r.Begin()
			if err == nil {
				err = readAny(r, name)
			}
			if serr := r.Skip(); serr != nil {
				return
			}
			if err != nil && !IsSyntax(err) && model.KindOf(err) == model.KindOther {
				return
			}
		}
	})
}

// readAny reads the arguments of any command.
func readAny(r *Reader, name string) (err error) {
	switch strings.TrimPrefix(name, "UID ") {
	case "LOGIN":
		_, err = ReadLogin(r)
	case "AUTHENTICATE":
		_, err = ReadAuthenticate(r)
	case "SELECT", "EXAMINE":
		_, err = ReadSelect(r)
	case "CREATE":
		_, err = ReadCreate(r)
	case "RENAME":
		_, err = ReadRename(r)
	case "ENABLE":
		_, err = ReadEnable(r)
	case "ID":
		_, err = ReadID(r)
	case "LIST", "LSUB":
		_, err = ReadList(r)
	case "STATUS":
		_, err = ReadStatus(r)
	case "FETCH":
		_, err = ReadFetch(r)
	case "STORE":
		_, err = ReadStore(r)
	case "SEARCH":
		_, err = ReadSearch(r)
	case "COPY", "MOVE":
		_, err = ReadCopy(r)
	case "EXPUNGE":
		_, err = ReadSet(r)
	case "DELETE":
		_, err = ReadMailbox(r)
	case "APPEND":
		var a Append
		if a, err = ReadAppend(r); err != nil {
			return err
		}
		for more := true; more && err == nil; {
			var src io.Reader
			if src, err = r.Accept(); err != nil {
				return err
			}
			if _, err = io.Copy(io.Discard, src); err == nil {
				more, err = a.Next(r)
			}
		}
	default:
		err = ReadNone(r)
	}
	return err
}
