package message

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	gomessage "github.com/emersion/go-message"
	"github.com/google/go-cmp/cmp"
)

// grow builds a random message and returns what its outline must be.
func grow(rnd *rand.Rand, b *Builder, depth int, serial *int) string {
	indent := strings.Repeat(" ", depth)
	*serial++
	n := *serial
	switch kind := rnd.IntN(6); {
	case kind < 2 && depth < 5:
		sub := []string{"mixed", "alternative", "related"}[rnd.IntN(3)]
		b.Multipart(sub, fmt.Sprintf("=_%d'%d", depth, n))
		out := indent + "multipart/" + sub + "\n"
		for range 1 + rnd.IntN(4) {
			b.Part()
			out += grow(rnd, b, depth+1, serial)
		}
		b.End()
		return out
	case kind == 2:
		body := make([]byte, rnd.IntN(300))
		for i := range body {
			body[i] = byte(rnd.Uint32())
		}
		b.ContentType("application/octet-stream", Param{"name", fmt.Sprintf("%d.bin", n)})
		b.Base64(body)
		return fmt.Sprintf("%sapplication/octet-stream %q\n", indent, body)
	case kind == 3:
		text := strings.Repeat("grün = \u65e5\u672c  \n.\n", 1+rnd.IntN(20)) + "--=_0'1 no\nEnde"
		b.Text("text/html", text)
		return fmt.Sprintf("%stext/html %q\n", indent, crlf(text))
	}
	text := strings.Repeat("plain text\n\n", rnd.IntN(10)) + "--\nsignature"
	b.Text("text/plain", text)
	return fmt.Sprintf("%stext/plain %q\n", indent, crlf(text))
}

// TestTrees checks random well-formed messages against what was built and
// against go-message.
func TestTrees(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var b Builder
		b.Field("Subject", "tree")
		b.Addresses("From", Address{Name: "Ä Ö", Local: "a", Host: "x.test"})
		serial := 0
		want := grow(rnd, &b, 0, &serial)
		msg := string(b.Bytes())
		var got strings.Builder
		Parse([]byte(msg)).Walk(func(p *Part, d int) bool {
			got.WriteString(strings.Repeat(" ", d) + p.MediaType())
			if !p.IsMultipart() {
				body, err := io.ReadAll(BodyReader(strings.NewReader(msg), p))
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(p.MediaType(), "text/") {
					text, _ := io.ReadAll(TextReader(strings.NewReader(msg), p))
					body = text
				}
				fmt.Fprintf(&got, " %q", body)
			}
			got.WriteString("\n")
			return true
		})
		if d := cmp.Diff(want, got.String()); d != "" {
			t.Fatalf("%s\n%s", d, msg)
		}
		check(t, []byte(msg))
		e, err := gomessage.Read(strings.NewReader(msg))
		if err != nil {
			t.Fatal(err)
		}
		var theirs strings.Builder
		theirTree(t, e, 0, &theirs)
		if d := cmp.Diff(want, theirs.String()); d != "" {
			t.Fatalf("go-message reads it otherwise: %s\n%s", d, msg)
		}
	}
}

func theirTree(t *testing.T, e *gomessage.Entity, depth int, b *strings.Builder) {
	typ, _, _ := e.Header.ContentType()
	b.WriteString(strings.Repeat(" ", depth) + typ)
	mr := e.MultipartReader()
	if mr == nil {
		body, err := io.ReadAll(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, " %q\n", body)
		return
	}
	b.WriteString("\n")
	for {
		p, err := mr.NextPart()
		if err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		theirTree(t, p, depth+1, b)
	}
}

// TestMutations cuts and doubles bytes of good messages: offsets must stay right.
func TestMutations(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 150 {
		var b Builder
		serial := 0
		grow(rnd, &b, 0, &serial)
		msg := append([]byte(nil), b.Bytes()...)
		for range 1 + rnd.IntN(8) {
			if len(msg) == 0 {
				break
			}
			i := rnd.IntN(len(msg))
			j := min(len(msg), i+rnd.IntN(80))
			switch rnd.IntN(4) {
			case 0:
				msg = append(msg[:i:i], msg[j:]...)
			case 1:
				msg = append(msg[:j:j], msg[i:]...)
			case 2:
				msg[i] = byte(rnd.Uint32())
			case 3:
				msg = append(msg[:i:i], append([]byte("\r\n\r\n"), msg[i:]...)...)
			}
		}
		check(t, msg)
	}
}

func TestAddressBudget(t *testing.T) {
	one := "Content-Type: message/rfc822\nTo: " + strings.Repeat("a,", 5000) + "\n\n"
	s := Parse([]byte(strings.Repeat(one, 20)))
	total := 0
	s.Walk(func(p *Part, _ int) bool {
		if p.Envelope != nil {
			total += len(p.Envelope.To)
		}
		return true
	})
	if total != MaxAddresses {
		t.Errorf("kept %d addresses", total)
	}
}

func TestDecodeDamage(t *testing.T) {
	good := Parse(alternative()).AppendBinary(nil)
	if _, err := DecodeStructure(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if end, err := HeaderEnd(good[:n]); err == nil && n < 4 {
			t.Errorf("header of %d octets when cut at %d", end, n)
		}
		if _, err := DecodeStructure(good[:n]); err == nil {
			t.Errorf("accepted when cut at %d", n)
		}
	}
	for _, mail := range [][]byte{alternative(), nil, []byte("no header"), []byte("Subject: x\r\n\r\n"), []byte("A: b\n\ntext")} {
		s := Parse(mail)
		if end, err := HeaderEnd(s.AppendBinary(nil)); err != nil || end != s.Root.BodyStart {
			t.Errorf("%q: header ends at %d, %v, not %d", mail, end, err, s.Root.BodyStart)
		}
	}
	for _, b := range [][]byte{nil, {1}, {99, 0, 1, 0, 0}, {1, 0, 5, 0, 9}, {1, 0, 5, 9, 0}, {1, 0, 0xff, 0xff}} {
		if end, err := HeaderEnd(b); err == nil {
			t.Errorf("%v: a header of %d octets", b, end)
		}
	}
	if _, err := DecodeStructure(append(good[:len(good):len(good)], 0)); err == nil {
		t.Error("accepted with a byte too many")
	}
	if _, err := DecodeStructure(append([]byte{99}, good[1:]...)); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("another version: %v", err)
	}
}
